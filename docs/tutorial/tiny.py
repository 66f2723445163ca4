"""tiny: a decoder in NumPy, small and with made-up weights, but a real one: its attention reads K
and V, and whether they were computed or come from a cache makes no difference to what it says.

Its times are those of this machine's NumPy, no engine's. What carries over is which work is left.
"""

import math

import numpy

LAYERS, HEADS, HEAD, WIDTH, VOCABULARY = 4, 4, 32, 128, 512


class Model:
    def __init__(self, seed=1):
        rng = numpy.random.default_rng(seed)

        def weights(*shape):
            return rng.standard_normal(shape, dtype="float32") / math.sqrt(shape[0])

        self.embed = weights(VOCABULARY, WIDTH) * math.sqrt(VOCABULARY)
        self.layers = [{"q": weights(WIDTH, WIDTH), "k": weights(WIDTH, WIDTH),
                        "v": weights(WIDTH, WIDTH), "o": weights(WIDTH, WIDTH),
                        "up": weights(WIDTH, 2 * WIDTH), "down": weights(2 * WIDTH, WIDTH)}
                       for _ in range(LAYERS)]

    def run(self, tokens, past=None):
        """Compute `tokens` behind `past`; returns logits of the last one, and K and V of all.

        past and the second result: [layers][2][heads][tokens][head], float32; past may be None
        """
        x = self.embed[numpy.asarray(tokens) % VOCABULARY]
        start = 0 if past is None else past.shape[3]
        kv = numpy.empty((LAYERS, 2, HEADS, start + len(tokens), HEAD), "float32")
        for i, layer in enumerate(self.layers):
            y = norm(x)
            if past is not None:
                kv[i, :, :, :start] = past[i]
            kv[i, 0, :, start:] = rotate(heads(y @ layer["k"]), start)
            kv[i, 1, :, start:] = heads(y @ layer["v"])
            x = x + attend(rotate(heads(y @ layer["q"]), start), *kv[i], start) @ layer["o"]
            y = norm(x)
            x = x + numpy.maximum(y @ layer["up"], 0) @ layer["down"]
        return norm(x[-1]) @ self.embed.T, kv


def norm(x):
    return x / numpy.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)


def heads(x):
    return x.reshape(len(x), HEADS, HEAD).transpose(1, 0, 2)


def rotate(x, start):
    """Positions by rotation, so that K is good at its own place alone, as in real models."""
    places = numpy.arange(start, start + x.shape[1], dtype="float32")[:, None]
    angles = places / 10000 ** (numpy.arange(HEAD // 2, dtype="float32") / (HEAD // 2))
    cos, sin = numpy.cos(angles), numpy.sin(angles)
    one, two = x[..., :HEAD // 2], x[..., HEAD // 2:]
    return numpy.concatenate((one * cos - two * sin, one * sin + two * cos), axis=-1)


def attend(q, k, v, start):
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(HEAD)
    ahead = numpy.arange(k.shape[1])[None, :] > start + numpy.arange(q.shape[1])[:, None]
    scores = numpy.where(ahead, numpy.float32(-1e30), scores)
    scores = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    out = (scores / scores.sum(axis=-1, keepdims=True)) @ v
    return out.transpose(1, 0, 2).reshape(q.shape[1], WIDTH)
