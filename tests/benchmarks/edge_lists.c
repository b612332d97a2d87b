/* W1's steps on edge lists: what a person would write in C for a sparse net of logistic units with Bernoulli outputs.
 *
 * Units are numbered through all layers, inputs first, parents before units that read them. Unit u reads parents[e] for
 * first[u] <= e < first[u + 1]; its bias is theta[place[u]], followed by the weights of its links. Arrays of units hold
 * the samples of one unit side by side. A step moves, finds the loss there, keeps or cancels, and finds the next
 * direction; eps is added to the diagonal of what is solved. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 16
#define UNITS 1024
#define WIDEST 128

typedef double row[SAMPLES];
typedef struct {
    int units, inputs, outputs, parameters;
    const int *first, *parents, *place;
    double eps;
} net;
typedef struct {
    row *activities, *slopes, *covectors, *moduli;
    double *gradient, *block;
} room;
enum { GRADIENT, QUASI, QUASI_FISHER, BLOCKS, BLOCKS_FISHER };

static double forward(const net *n, room *r, const double *theta, const double *targets) {
    double loss = 0.0;
    for (int u = n->inputs; u < n->units; u++) {
        const double *w = theta + n->place[u];
        row z;
        for (int s = 0; s < SAMPLES; s++) z[s] = w[0];
        for (int e = n->first[u]; e < n->first[u + 1]; e++) {
            const double weight = w[1 + e - n->first[u]], *a = r->activities[n->parents[e]];
            for (int s = 0; s < SAMPLES; s++) z[s] += weight * a[s];
        }
        row small;
        for (int s = 0; s < SAMPLES; s++) small[s] = exp(-fabs(z[s]));
        for (int s = 0; s < SAMPLES; s++) r->activities[u][s] = (z[s] < 0.0 ? small[s] : 1.0) / (1.0 + small[s]);
        for (int s = 0; s < SAMPLES; s++) r->slopes[u][s] = r->activities[u][s] * (1.0 - r->activities[u][s]);
        if (u < n->units - n->outputs) continue;
        const double *t = targets + (u - (n->units - n->outputs)) * SAMPLES;
        for (int s = 0; s < SAMPLES; s++) loss += log1p(small[s]) + (z[s] > 0.0 ? z[s] : 0.0) - t[s] * z[s];
    }
    return loss / SAMPLES;
}

/* dl/dz of every unit, and the differential of every parameter. */
static void differential(const net *n, room *r, const double *theta, const double *targets) {
    const int outputs = n->units - n->outputs;
    memset(r->covectors, 0, n->units * sizeof(row));
    for (int u = n->units - 1; u >= n->inputs; u--) {
        double *b = r->covectors[u], *slope = r->gradient + n->place[u];
        const double *w = theta + n->place[u];
        for (int s = 0; s < SAMPLES; s++)
            b[s] = u >= outputs ? (r->activities[u][s] - targets[(u - outputs) * SAMPLES + s]) / SAMPLES
                                : b[s] * r->slopes[u][s];
        double sum = 0.0;
        for (int s = 0; s < SAMPLES; s++) sum += b[s];
        slope[0] = sum;
        for (int e = n->first[u]; e < n->first[u + 1]; e++) {
            const int p = n->parents[e], i = 1 + e - n->first[u];
            const double *a = r->activities[p];
            double *to = r->covectors[p];
            sum = 0.0;
            for (int s = 0; s < SAMPLES; s++) sum += b[s] * a[s];
            slope[i] = sum;
            if (p >= n->inputs)
                for (int s = 0; s < SAMPLES; s++) to[s] += w[i] * b[s];
        }
    }
}

static void backpropagated(const net *n, room *r, const double *theta) {
    memset(r->moduli, 0, n->units * sizeof(row));
    for (int u = n->units - 1; u >= n->inputs; u--) {
        double *m = r->moduli[u];
        const double *slope = r->slopes[u], *w = theta + n->place[u];
        for (int s = 0; s < SAMPLES; s++)
            m[s] = u >= n->units - n->outputs ? slope[s] : m[s] * slope[s] * slope[s];
        for (int e = n->first[u]; e < n->first[u + 1]; e++) {
            const int p = n->parents[e];
            const double square = w[1 + e - n->first[u]] * w[1 + e - n->first[u]];
            if (p >= n->inputs)
                for (int s = 0; s < SAMPLES; s++) r->moduli[p][s] += square * m[s];
        }
    }
}

/* One row of covectors for each output, among the units that it reads, directly or not. */
static void fisher(const net *n, room *r, const double *theta) {
    row *rows = r->covectors;
    memset(r->moduli, 0, n->units * sizeof(row));
    for (int o = n->units - n->outputs; o < n->units; o++) {
        char touched[UNITS] = {0};
        memset(rows, 0, (n->units - n->outputs) * sizeof(row));
        for (int u = o; u >= n->inputs; u = u == o ? n->units - n->outputs - 1 : u - 1) {
            if (u != o && !touched[u]) continue;
            const double *slope = r->slopes[u], *w = theta + n->place[u];
            for (int s = 0; s < SAMPLES; s++) rows[u][s] = u == o ? sqrt(slope[s]) : rows[u][s] * slope[s];
            for (int s = 0; s < SAMPLES; s++) r->moduli[u][s] += rows[u][s] * rows[u][s];
            for (int e = n->first[u]; e < n->first[u + 1]; e++) {
                const int p = n->parents[e];
                const double weight = w[1 + e - n->first[u]];
                if (p < n->inputs) break;
                touched[p] = 1;
                for (int s = 0; s < SAMPLES; s++) rows[p][s] += weight * rows[u][s];
            }
        }
    }
}

/* Eqs. 89 and 90, in place. */
static void quasi(const net *n, room *r) {
    for (int u = n->inputs; u < n->units; u++) {
        const double *m = r->moduli[u];
        double *g = r->gradient + n->place[u], bias = 0.0, shift = 0.0;
        for (int s = 0; s < SAMPLES; s++) bias += m[s] / SAMPLES;
        bias += n->eps;
        for (int e = n->first[u]; e < n->first[u + 1]; e++) {
            const double *a = r->activities[n->parents[e]];
            double cross = 0.0, own = 0.0;
            for (int s = 0; s < SAMPLES; s++) cross += m[s] * a[s];
            for (int s = 0; s < SAMPLES; s++) own += m[s] * a[s] * a[s];
            cross /= SAMPLES;
            double *w = g + 1 + e - n->first[u];
            *w = (*w - cross / bias * g[0]) / (own / SAMPLES + n->eps - cross * cross / bias);
            shift += cross / bias * *w;
        }
        g[0] = g[0] / bias - shift;
    }
}

/* Cholesky's factor of a block, row by row, and the two triangular solutions, in place. */
static void solve(double *block, int width, double *g) {
    for (int i = 0; i < width; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = block[i * WIDEST + j];
            for (int k = 0; k < j; k++) sum -= block[i * WIDEST + k] * block[j * WIDEST + k];
            block[i * WIDEST + j] = i == j ? sqrt(sum) : sum / block[j * WIDEST + j];
        }
        for (int k = 0; k < i; k++) g[i] -= block[i * WIDEST + k] * g[k];
        g[i] /= block[i * WIDEST + i];
    }
    for (int i = width - 1; i >= 0; i--) {
        g[i] /= block[i * WIDEST + i];
        for (int k = 0; k < i; k++) g[k] -= block[i * WIDEST + k] * g[i];
    }
}

static void blocks(const net *n, room *r) {
    static const row one = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int u = n->inputs; u < n->units; u++) {
        const int width = 1 + n->first[u + 1] - n->first[u], *parents = n->parents + n->first[u];
        for (int i = 0; i < width; i++) {
            const double *a = i ? r->activities[parents[i - 1]] : one;
            row weighted;
            for (int s = 0; s < SAMPLES; s++) weighted[s] = r->moduli[u][s] * a[s] / SAMPLES;
            for (int j = 0; j <= i; j++) {
                const double *other = j ? r->activities[parents[j - 1]] : one;
                double sum = 0.0;
                for (int s = 0; s < SAMPLES; s++) sum += weighted[s] * other[s];
                r->block[i * WIDEST + j] = sum;
            }
            r->block[i * WIDEST + i] += n->eps;
        }
        solve(r->block, width, r->gradient + n->place[u]);
    }
}

static void direction(const net *n, room *r, const double *theta, const double *targets, int method) {
    differential(n, r, theta, targets);
    if (method == GRADIENT) return;
    if (method == QUASI || method == BLOCKS) backpropagated(n, r, theta);
    else fisher(n, r, theta);
    if (method == QUASI || method == QUASI_FISHER) quasi(n, r);
    else blocks(n, r);
}

/* Steps with an adaptive rate; theta and rate are changed. The last kept loss, which is never negative; -1 without memory. */
double descend(const net *n, int method, int steps, double *theta, double *rate, const double *inputs,
               const double *targets) {
    row *rows = calloc(4 * (size_t)n->units, sizeof(row));
    double *vectors = calloc(2 * (size_t)n->parameters + WIDEST * WIDEST, sizeof(double)), loss = -1.0;
    if (rows && vectors) {
        room r = {rows, rows + n->units, rows + 2 * n->units, rows + 3 * n->units, vectors, vectors + 2 * n->parameters};
        double *ahead = vectors + n->parameters;
        memcpy(r.activities, inputs, n->inputs * sizeof(row));
        loss = forward(n, &r, theta, targets);
        direction(n, &r, theta, targets, method);
        for (int step = 0; step < steps; step++) {
            for (int i = 0; i < n->parameters; i++) ahead[i] = theta[i] - *rate * r.gradient[i];
            const double reached = forward(n, &r, ahead, targets);
            if (!(reached <= loss)) {
                *rate *= 0.5;
                continue;
            }
            if (reached < loss) *rate *= 1.1;
            loss = reached;
            memcpy(theta, ahead, n->parameters * sizeof(double));
            direction(n, &r, theta, targets, method);
        }
    }
    free(rows);
    free(vectors);
    return loss;
}
