// Browsers start no workers from files. Where a page is opened from a folder, what would be a worker (the search) runs in
// a hidden frame of its own instead. The theme would otherwise fetch a script for this from elsewhere.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inner = frame.contentWindow;
      this.waiting = [];
      this.inner.document.open();
      this.inner.document.write("<!DOCTYPE html><title>search</title><body></body>");
      this.inner.document.close();
      // what the worker says goes out
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = this.inner.document.createElement("script");
      script.src = new URL(address, document.baseURI);
      script.onload = () => this.started();
      this.inner.document.body.append(script);
    }

    started() {
      const waiting = this.waiting;
      this.waiting = null;
      waiting.forEach((data) => this.postMessage(data));
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.inner.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
