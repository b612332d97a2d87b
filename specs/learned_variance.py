"""Fuel consumption of real cars, with a Gaussian whose variance is an output parameter (remark 16).

`--set heteroscedastic=true` lets a second output give the log-scale of each car instead.
"""

import manifoldnet as mn

title = "miles per gallon, with a learned variance"
schedule = mn.FullBatch(steps=200, rate=0.05, patience=50)


def network(seed=0, hidden=12, heteroscedastic=False):
    net = mn.Network("learned variance", seed=seed)
    x = net.input("x", size=7)
    h = net.layer("h", size=hidden, map=mn.Affine(mn.tanh), parents=[x])
    y = net.layer("y", size=2 if heteroscedastic else 1, map=mn.Affine(mn.identity), parents=[h])
    net.interpret(mn.HeteroscedasticGaussian() if heteroscedastic else mn.Gaussian(), parents=[y])
    return net


def data(seed=0, held_out=0.2):
    cars = mn.load_auto_mpg()
    features = (cars.features - cars.features.mean(axis=0)) / cars.features.std(axis=0)
    mpg = (cars.miles_per_gallon - cars.miles_per_gallon.mean()) / cars.miles_per_gallon.std()
    return mn.split(features, mpg[:, None], held_out=held_out, seed=seed)
