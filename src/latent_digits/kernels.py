"""The loops of a training step that are no matrix product, compiled for the CPU by Numba.

As PyTorch operations each of these is several passes over memory and ten to fifty microseconds of
bookkeeping a pass; as one loop it is one pass. Activations lie batch-last, so every inner loop runs
over consecutive floats and becomes vector instructions. Callers state the same in PyTorch
operations, for other devices, and tests hold the two equal.

Compiled code is kept in `__pycache__`, so that a process compiles nothing that another has.

C channels, H W pixels, B batch; C' channels and R S positions of what a 3×3 kernel makes of them.
"""

import numpy as np
from numba import njit

# Division by zero gives infinity, as in PyTorch: a check for it would forbid vector instructions.
compiled = njit(cache=True, error_model="numpy")
# Sums of products in whichever order suits the machine, as a matrix product's are.
contracted = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

PART = 512  # floats, of which eight times so many fit a core's first cache


@compiled
def polyphase(x, padding, rows, cols):
    """`x` [C, H, W, B] with its padding, every other row and column: [C, 2, 2, R+1, S+1, B].

    What lies two apart in `x` lies side by side in it: along a row of positions each weight of the
    3×3 kernel meets one run of S·B floats, so no neighbourhood need be copied.
    """
    channels, height, width, batch = x.shape
    out = np.empty((channels, 2, 2, rows + 1, cols + 1, batch), x.dtype)
    for c in range(channels):
        for i in range(2):
            for j in range(2):
                for r in range(rows + 1):
                    for s in range(cols + 1):
                        h, w = 2 * r + i - padding, 2 * s + j - padding
                        if 0 <= h < height and 0 <= w < width:
                            for b in range(batch):
                                out[c, i, j, r, s, b] = x[c, h, w, b]
                        else:
                            for b in range(batch):
                                out[c, i, j, r, s, b] = 0
    return out


@compiled
def neighbours(x, r, batch):
    """What the nine weights meet along row `r` of positions, each a run of S·B floats.

    `x` is one channel of what `polyphase` made, [2, 2, R+1, (S+1)·B].
    """
    return three(x[0], r, batch) + three(x[1], r, batch) + three(x[0], r + 1, batch)


@compiled
def three(x, r, batch):
    """`neighbours` of one row of weights, in `x` [2, R+1, (S+1)·B]."""
    return x[0, r, :-batch], x[1, r, :-batch], x[0, r, batch:]


@compiled
def runs(x):
    """[..., S, B] as [..., S·B]."""
    return x.reshape((*x.shape[:-2], -1))


@contracted
def correlate(x, weight, bias):
    """`weight` [C', C, 3, 3] over what `polyphase` made, and `bias` [C']: [C', R, S, B]."""
    _, _, _, rows, cols, batch = x.shape
    out = np.empty((len(weight), rows - 1, cols - 1, batch), x.dtype)
    of_x, of_y = runs(x), runs(out)
    for r in range(out.shape[1]):
        for k in range(out.shape[0]):
            of_y[k, r] = bias[k]
        for c in range(x.shape[0]):
            x0, x1, x2, x3, x4, x5, x6, x7, x8 = neighbours(of_x[c], r, x.shape[5])
            for k in range(out.shape[0]):
                w, y = weight[k, c], of_y[k, r]
                w0, w1, w2, w3, w4 = w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1]
                w5, w6, w7, w8 = w[1, 2], w[2, 0], w[2, 1], w[2, 2]
                for n in range(len(y)):
                    top = w0 * x0[n] + w1 * x1[n] + w2 * x2[n]
                    middle = w3 * x3[n] + w4 * x4[n] + w5 * x5[n]
                    y[n] = y[n] + top + middle + w6 * x6[n] + w7 * x7[n] + w8 * x8[n]
    return out


@contracted
def weight_gradient(x, gradient):
    """The gradient of `correlate`'s weight, [C', C, 3, 3], from that of its output."""
    zero = x.dtype.type(0)
    out = np.zeros((len(gradient), len(x), 3, 3), x.dtype)
    of_x, of_y = runs(x), runs(gradient)
    for r in range(gradient.shape[1]):
        for c in range(x.shape[0]):
            x0, x1, x2, x3, x4, x5, x6, x7, x8 = neighbours(of_x[c], r, x.shape[5])
            for k in range(out.shape[0]):
                w, of_run = out[k, c], of_y[k, r]
                w0 = w1 = w2 = w3 = w4 = w5 = w6 = w7 = w8 = zero
                for n in range(len(of_run)):
                    g = of_run[n]
                    w0, w1, w2 = w0 + g * x0[n], w1 + g * x1[n], w2 + g * x2[n]
                    w3, w4, w5 = w3 + g * x3[n], w4 + g * x4[n], w5 + g * x5[n]
                    w6, w7, w8 = w6 + g * x6[n], w7 + g * x7[n], w8 + g * x8[n]
                w[0, 0], w[0, 1], w[0, 2] = w[0, 0] + w0, w[0, 1] + w1, w[0, 2] + w2
                w[1, 0], w[1, 1], w[1, 2] = w[1, 0] + w3, w[1, 1] + w4, w[1, 2] + w5
                w[2, 0], w[2, 1], w[2, 2] = w[2, 0] + w6, w[2, 1] + w7, w[2, 2] + w8
    return out


@contracted
def scatter(x, weight, bias, padding, height, width):
    """The adjoint: `x` [C', R, S, B] with `weight` [C', C, 3, 3], and `bias` [C]: [C, H, W, B].

    Parts of eight channels of `x` stay in the cache while they meet all nine weights.
    """
    channels, rows, cols, batch = x.shape
    of_x, length = runs(x), cols * batch
    weights = np.zeros((*weight.shape[1:], -(-channels // 8) * 8), weight.dtype)
    weights[..., :channels] = weight.transpose(1, 2, 3, 0)
    phases = np.empty((2, 2, rows + 1, length + batch), x.dtype)
    out = np.empty((len(bias), height, width, batch), x.dtype)
    for c in range(len(bias)):
        phases[:] = bias[c]
        for r in range(rows):
            for start in range(0, length, PART):
                stop = min(start + PART, length)
                for k in range(0, channels, 8):
                    x0, x1, x2, x3, x4, x5, x6, x7 = eight(of_x, k, r, slice(start, stop))
                    for i in range(3):
                        for j in range(3):
                            shift = j // 2 * batch
                            y = phases[i % 2, j % 2, r + i // 2, start + shift : stop + shift]
                            w = weights[c, i, j, k : k + 8]
                            w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
                            w4, w5, w6, w7 = w[4], w[5], w[6], w[7]
                            for n in range(len(y)):
                                left = w0 * x0[n] + w1 * x1[n] + w2 * x2[n] + w3 * x3[n]
                                right = w4 * x4[n] + w5 * x5[n] + w6 * x6[n] + w7 * x7[n]
                                y[n] = y[n] + left + right
        for h in range(height):
            for w in range(width):
                i, j = h + padding, w + padding
                shift = j // 2 * batch
                phase, pixels = phases[i % 2, j % 2, i // 2, shift : shift + batch], out[c, h, w]
                for b in range(batch):
                    pixels[b] = phase[b]
    return out


@compiled
def eight(x, k, r, part):
    """A part of row `r` of channels `k` to `k` + 7 of `x` [C', R, S·B]; past the last, the last."""
    last = len(x) - 1
    return (
        x[k, r, part],
        x[min(k + 1, last), r, part],
        x[min(k + 2, last), r, part],
        x[min(k + 3, last), r, part],
        x[min(k + 4, last), r, part],
        x[min(k + 5, last), r, part],
        x[min(k + 6, last), r, part],
        x[min(k + 7, last), r, part],
    )


@compiled
def philox(key, out):
    """`out`, uint32 [4, N], from a counter: Philox4x32-10 of Salmon et al. 2011.

    Column n encrypts the counter n under `key`, two uint32: "Parallel random numbers: as easy as
    1, 2, 3". Any column can be had without those before it.
    """
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for n in range(out.shape[1]):
        c0, c1, c2, c3 = np.uint32(n), np.uint32(0), np.uint32(0), np.uint32(0)
        k0, k1 = key[0], key[1]
        for _ in range(10):
            p0 = np.uint64(0xD2511F53) * np.uint64(c0)
            p1 = np.uint64(0xCD9E8D57) * np.uint64(c2)
            c0, c1 = np.uint32(p1 >> shift) ^ c1 ^ k0, np.uint32(p1 & low)
            c2, c3 = np.uint32(p0 >> shift) ^ c3 ^ k1, np.uint32(p0 & low)
            k0, k1 = np.uint32(k0 + np.uint32(0x9E3779B9)), np.uint32(k1 + np.uint32(0xBB67AE85))
        out[0, n], out[1, n], out[2, n], out[3, n] = c0, c1, c2, c3


@compiled
def levels(key, count):
    """`count` numbers that follow from `key`, two uint32: int16, all values equally likely."""
    columns = np.empty((4, (count + 7) // 8), np.uint32)
    philox(key, columns)
    return columns.ravel().view(np.int16)[:count]


@compiled
def relu_dropout(x, key, before, batch, highest_dropped, scale):
    """In place on `x` [F, P, B]: ReLU, then units F of images B dropped, or multiplied by `scale`.

    A unit is dropped when its level is at most `highest_dropped`. The images lie in a `batch`, so
    many `before` them.
    """
    zero = x.dtype.type(0)
    drawn = levels(key, x.shape[0] * batch).reshape(x.shape[0], batch)[:, before:]
    for f in range(x.shape[0]):
        for p in range(x.shape[1]):
            for b in range(x.shape[2]):
                kept = (x[f, p, b] > zero) & (drawn[f, b] > highest_dropped)
                x[f, p, b] = x[f, p, b] * scale if kept else zero


@compiled
def relu_dropout_vjp(gradient, y, scale):
    """`gradient` · `scale` where the output `y` is positive, else 0; all of one shape."""
    out = np.empty_like(gradient)
    of_y, of_x, flat_y = gradient.ravel(), out.ravel(), y.ravel()
    zero = out.dtype.type(0)
    for k in range(len(flat_y)):
        of_x[k] = of_y[k] * scale if flat_y[k] > zero else zero
    return out


@compiled
def noisy(x, out, key, before, batch, normal, speckle, shares, mean, gaussian):
    """`out` = `x`, [P, B] each, with speckle, salt & pepper and Gaussian noise, each clipped.

    `normal` has a value for each level, `speckle` and `gaussian` are standard deviations, and so
    many `shares` of all levels are salt, and as many pepper. The images lie in a `batch`, so many
    `before` them.
    """
    zero, one, middle = x.dtype.type(0), x.dtype.type(1), len(normal) // 2
    speckle, gaussian, mean = x.dtype.type(speckle), x.dtype.type(gaussian), x.dtype.type(mean)
    drawn = levels(key, 3 * x.shape[0] * batch).reshape(3, x.shape[0], batch)[:, :, before:]
    for p in range(x.shape[0]):
        for b in range(x.shape[1]):
            y = x[p, b] + x[p, b] * speckle * normal[drawn[0, p, b] + middle]
            level = drawn[1, p, b] + middle
            y = min(max(y, zero), one)
            y = zero if level < shares else y
            y = one if level >= len(normal) - shares else y
            y = y + mean + gaussian * normal[drawn[2, p, b] + middle]
            out[p, b] = min(max(y, zero), one)


@compiled
def squared_error(x_hat, x, out):
    """`out` [B] = the sum over F of (`x_hat` - `x`)², [F, B] each."""
    out[:] = 0
    for f in range(x.shape[0]):
        for b in range(x.shape[1]):
            difference = x_hat[f, b] - x[f, b]
            out[b] += difference * difference


@compiled
def squared_error_vjp(gradient, x_hat, x, out):
    """`out` [F, B] = 2 (`x_hat` - `x`) `gradient` [B]."""
    for f in range(x.shape[0]):
        for b in range(x.shape[1]):
            difference = x_hat[f, b] - x[f, b]
            out[f, b] = (difference + difference) * gradient[b]


@compiled
def pixels_batch_last(images, index, out):
    """`out` [P, B] = the rows `index` [B] of `images` [N, P], / 255."""
    largest = out.dtype.type(255)
    for p in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[p, b] = images[index[b], p] / largest


@compiled
def adam(values, gradients, mean, square, step_size, correction, beta1, beta2, epsilon):
    """Adam's update of `values`, after which the gradients are zero; all of one length."""
    one = values.dtype.type(1)
    for k in range(len(values)):
        gradient = gradients[k]
        mean[k] = beta1 * mean[k] + (one - beta1) * gradient
        square[k] = beta2 * square[k] + (one - beta2) * gradient * gradient
        values[k] -= step_size * mean[k] / (np.sqrt(square[k]) / correction + epsilon)
        gradients[k] = 0
