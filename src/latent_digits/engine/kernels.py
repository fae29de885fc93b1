"""The loops of a training step, compiled for the CPU by Numba, and a chain of layers made of them.

As PyTorch operations each of these is several passes over memory and ten to fifty microseconds of
bookkeeping a pass; as one loop it is one pass. Activations lie batch-last, so every inner loop runs
over consecutive floats and becomes vector instructions. Callers state the same in PyTorch
operations, for other devices, and tests hold the two equal.

Compiled code is kept in `__pycache__`, so that a process compiles nothing that another has. All of
it is in this file, since Numba sees a change only in the file of the function that is called.

C channels, H W pixels, B batch; C' channels and R S positions of what a 3×3 kernel makes of them.
"""

import platform
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending, njit, types  # pyright: ignore[reportPrivateImportUsage]
from numba.core.ccallback import CFunc

# Typed for Python, which does not call them: within compiled code they mean something else.
carray: Any = numba.carray  # pyright: ignore[reportPrivateImportUsage]
intrinsic: Any = extending.intrinsic
# Division by zero gives infinity, as in PyTorch: a check for it would forbid vector instructions.
compiled = njit(cache=True, error_model="numpy")
# Without Python's lock, for a thread that works while another holds it.
released = njit(cache=True, error_model="numpy", nogil=True)
# Sums of products in whichever order suits the machine, as a matrix product's are.
contracted = njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

LINEAR, CONV, CONV_TRANSPOSE, RELU_DROPOUT, SIGMOID, RESHAPE = range(6)  # kinds of steps
# Activations begin so many floats an image into memory, but for a chain's input and its output.
INPUT, OUTPUT = -1, -2
# What compiled code knows of a step: in a table, a row a step. See `latent_digits.engine.chains`.
KINDS = ("kind", "padding", "units", "dropped")
SIZES = ("channels", "rows", "cols", "out_channels", "out_rows", "out_cols")
PLACES = ("weight", "windows", "x", "y", "of_x", "of_y")
STEP = np.dtype([(name, np.int64) for name in (*KINDS, *SIZES, *PLACES)])
# What the threads of a team share: words that they change, each in a cache line of its own, and the
# task of now, a step of a chain in one direction.
FORWARDS, BACKWARDS = range(2)
TICKET, DONE, ENDING, MODES = 0, 64, 128, 192  # bytes behind the team's address
HELPED, CODE, FAILED = 136, 200, 208  # in lines that seldom change, or for one thread
NUMBERS = ("work", "step", "phase", "images", "before", "batch")
ADDRESSES = ("table", "x", "parameters", "key", "memory", "out")
GRADIENTS = ("of_x", "gradients", "of_memory", "of_out", "given")
TASK = np.dtype(
    {
        "names": [*NUMBERS, *ADDRESSES, *GRADIENTS],
        "formats": [np.int64] * 17,
        "offsets": [256 + 8 * n for n in range(17)],
    }
)
KEY_BYTES = 8
LOWER = 2**32 - 1  # half of an int64
WORTH_DIVIDING = 200_000  # products; some five microseconds
LEVELS = 2**16  # equally likely values of a draw, int16 from -LEVELS / 2


@contracted
def product(weight, x, bias, out):
    """`out` [M, B] = `weight` [M, K] · `x` [K, B] + `bias` [M]."""
    units, inputs = weight.shape
    for m in range(units):
        out[m] = bias[m]
    for k in range(0, inputs - 7, 8):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        x4, x5, x6, x7 = x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        for m in range(units):
            w, y = weight[m, k : k + 8], out[m]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
            for b in range(len(y)):
                left = w0 * x0[b] + w1 * x1[b] + w2 * x2[b] + w3 * x3[b]
                right = w4 * x4[b] + w5 * x5[b] + w6 * x6[b] + w7 * x7[b]
                y[b] = y[b] + left + right
    for k in range(inputs // 8 * 8, inputs):
        for m in range(units):
            w, y, x0 = weight[m, k], out[m], x[k]
            for b in range(len(y)):
                y[b] += w * x0[b]


@contracted
def outer_products(gradient, x, out):
    """Add `gradient` [M, B] · `x` [K, B] transposed to `out` [M, K]."""
    zero = x.dtype.type(0)
    units, inputs = out.shape
    for k in range(0, inputs - 7, 8):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        x4, x5, x6, x7 = x[k + 4], x[k + 5], x[k + 6], x[k + 7]
        for m in range(units):
            w, of_y = out[m, k : k + 8], gradient[m]
            w0 = w1 = w2 = w3 = w4 = w5 = w6 = w7 = zero
            for b in range(len(of_y)):
                g = of_y[b]
                w0, w1, w2, w3 = w0 + g * x0[b], w1 + g * x1[b], w2 + g * x2[b], w3 + g * x3[b]
                w4, w5, w6, w7 = w4 + g * x4[b], w5 + g * x5[b], w6 + g * x6[b], w7 + g * x7[b]
            w[0], w[1], w[2], w[3] = w[0] + w0, w[1] + w1, w[2] + w2, w[3] + w3
            w[4], w[5], w[6], w[7] = w[4] + w4, w[5] + w5, w[6] + w6, w[7] + w7
    for k in range(inputs // 8 * 8, inputs):
        for m in range(units):
            w0, of_y, x0 = zero, gradient[m], x[k]
            for b in range(len(of_y)):
                w0 += of_y[b] * x0[b]
            out[m, k] += w0


@contracted
def sums(x, out):
    """Add the sums of the rows of `x` [M, N] to `out` [M]."""
    for m in range(len(out)):
        total, row = x.dtype.type(0), x[m]
        for n in range(len(row)):
            total += row[n]
        out[m] += total


@compiled
def polyphase(x, padding, out, start, stop):
    """`x` [C, H, W, B] with its padding, every other row and column: `out` [C, 2, 2, R+1, S+1, B].

    What lies two apart in `x` lies side by side in it: along a row of positions each weight of the
    3×3 kernel meets one run of S·B floats, so no neighbourhood need be copied. From `start` to
    `stop` of the 4·C that there are.
    """
    _, height, width, batch = x.shape
    for place in range(start, stop):
        c, i, j = place // 4, place // 2 % 2, place % 2
        for r in range(out.shape[3]):
            for s in range(out.shape[4]):
                h, w = 2 * r + i - padding, 2 * s + j - padding
                if 0 <= h < height and 0 <= w < width:
                    for b in range(batch):
                        out[c, i, j, r, s, b] = x[c, h, w, b]
                else:
                    for b in range(batch):
                        out[c, i, j, r, s, b] = 0


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
def correlate(x, weight, bias, out):
    """`weight` [C', C, 3, 3] over what `polyphase` made, and `bias` [C']: `out` [C', R, S, B].

    Five weights of two channels, then four, are as many as a core has registers for. An odd channel
    is taken with itself, into a spare row.
    """
    of_x, of_y, last = runs(x), runs(out), len(out) - 1
    spare = np.zeros(of_y.shape[2], x.dtype)
    for r in range(out.shape[1]):
        for k in range(len(out)):
            of_y[k, r] = bias[k]
        for c in range(len(x)):
            x0, x1, x2, x3, x4, x5, x6, x7, x8 = neighbours(of_x[c], r, x.shape[5])
            for k in range(0, len(out), 2):
                w, y = weight[k, c], of_y[k, r]
                v, z = weight[min(k + 1, last), c], of_y[k + 1, r] if k < last else spare
                w0, w1, w2, w3, w4 = w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1]
                v0, v1, v2, v3, v4 = v[0, 0], v[0, 1], v[0, 2], v[1, 0], v[1, 1]
                for n in range(len(y)):
                    a0, a1, a2, a3, a4 = x0[n], x1[n], x2[n], x3[n], x4[n]
                    y[n] = y[n] + w0 * a0 + w1 * a1 + w2 * a2 + w3 * a3 + w4 * a4
                    z[n] = z[n] + v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3 + v4 * a4
                w5, w6, w7, w8 = w[1, 2], w[2, 0], w[2, 1], w[2, 2]
                v5, v6, v7, v8 = v[1, 2], v[2, 0], v[2, 1], v[2, 2]
                for n in range(len(y)):
                    a5, a6, a7, a8 = x5[n], x6[n], x7[n], x8[n]
                    y[n] = y[n] + w5 * a5 + w6 * a6 + w7 * a7 + w8 * a8
                    z[n] = z[n] + v5 * a5 + v6 * a6 + v7 * a7 + v8 * a8


@contracted
def weight_gradient(x, gradient, out):
    """Add the gradient of `correlate`'s weight to `out` [C', C, 3, 3], from that of its output."""
    of_x, of_y, last = runs(x), runs(gradient), len(out) - 1
    spare, zero = np.zeros((3, 3), x.dtype), x.dtype.type(0)
    for r in range(gradient.shape[1]):
        for c in range(len(x)):
            x0, x1, x2, x3, x4, x5, x6, x7, x8 = neighbours(of_x[c], r, x.shape[5])
            for k in range(0, len(out), 2):
                w, y = out[k, c], of_y[k, r]
                v, z = out[k + 1, c] if k < last else spare, of_y[min(k + 1, last), r]
                w0 = w1 = w2 = w3 = w4 = w5 = w6 = w7 = w8 = zero
                v0 = v1 = v2 = v3 = v4 = v5 = v6 = v7 = v8 = zero
                for n in range(len(y)):
                    g, h = y[n], z[n]
                    a0, a1, a2, a3, a4 = x0[n], x1[n], x2[n], x3[n], x4[n]
                    w0, w1, w2 = w0 + g * a0, w1 + g * a1, w2 + g * a2
                    v0, v1, v2 = v0 + h * a0, v1 + h * a1, v2 + h * a2
                    w3, w4, v3, v4 = w3 + g * a3, w4 + g * a4, v3 + h * a3, v4 + h * a4
                for n in range(len(y)):
                    g, h = y[n], z[n]
                    a5, a6, a7, a8 = x5[n], x6[n], x7[n], x8[n]
                    w5, w6, w7, w8 = w5 + g * a5, w6 + g * a6, w7 + g * a7, w8 + g * a8
                    v5, v6, v7, v8 = v5 + h * a5, v6 + h * a6, v7 + h * a7, v8 + h * a8
                add_up(w, w0, w1, w2, w3, w4, w5, w6, w7, w8)
                add_up(v, v0, v1, v2, v3, v4, v5, v6, v7, v8)


@compiled
def add_up(w, w0, w1, w2, w3, w4, w5, w6, w7, w8):
    """Add nine numbers to `w` [3, 3]."""
    w[0, 0], w[0, 1], w[0, 2] = w[0, 0] + w0, w[0, 1] + w1, w[0, 2] + w2
    w[1, 0], w[1, 1], w[1, 2] = w[1, 0] + w3, w[1, 1] + w4, w[1, 2] + w5
    w[2, 0], w[2, 1], w[2, 2] = w[2, 0] + w6, w[2, 1] + w7, w[2, 2] + w8


@contracted
def scatter(x, weight, bias, padding, out, start, stop):
    """The adjoint: `x` [C', R, S, B], `weight` [C', C, 3, 3] and `bias` [C]: `out` [C, H, W, B].

    A row of pixels at a time, even and odd ones apart: each weight adds one run to one of these.
    From `start` to `stop` of the C·H rows that there are.
    """
    channels, rows, cols, batch = x.shape
    of_x, length, last = runs(x), cols * batch, len(x) - 1
    fours = np.zeros((len(out), 3, 3, -(-channels // 4) * 4), weight.dtype)
    for c in range(len(out)):  # not as a slice, for which Numba compiles five seconds of messages
        for i in range(3):
            for j in range(3):
                for k in range(channels):
                    fours[c, i, j, k] = weight[k, c, i, j]
    pixels = np.empty((2, length + batch), x.dtype)
    even, odd, next_even = pixels[0, :length], pixels[1, :length], pixels[0, batch:]
    for place in range(start, stop):
        c, h = place // out.shape[1], place % out.shape[1]
        pixels[:] = bias[c]
        for i in range((h + padding) % 2, 3, 2):
            r = (h + padding - i) // 2
            if 0 <= r < rows:
                for k in range(0, channels, 4):
                    x0, x1 = of_x[k, r], of_x[min(k + 1, last), r]
                    x2, x3 = of_x[min(k + 2, last), r], of_x[min(k + 3, last), r]
                    u, v, w = fours[c, i, 0, k:], fours[c, i, 1, k:], fours[c, i, 2, k:]
                    u0, u1, u2, u3 = u[0], u[1], u[2], u[3]
                    v0, v1, v2, v3 = v[0], v[1], v[2], v[3]
                    for n in range(length):
                        a0, a1, a2, a3 = x0[n], x1[n], x2[n], x3[n]
                        even[n] = even[n] + u0 * a0 + u1 * a1 + u2 * a2 + u3 * a3
                        odd[n] = odd[n] + v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3
                    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
                    for n in range(length):
                        more = w0 * x0[n] + w1 * x1[n] + w2 * x2[n] + w3 * x3[n]
                        next_even[n] = next_even[n] + more
        for col in range(out.shape[2]):
            of_pixel, begin = out[c, h, col], (col + padding) // 2 * batch
            row = pixels[(col + padding) % 2, begin : begin + batch]
            for b in range(batch):
                of_pixel[b] = row[b]


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
def relu_dropout(x, key, before, batch, dropped, start, stop):
    """In place on `x` [F, P, B]: ReLU, then units F of images B dropped, or scaled up to make good.

    A unit is dropped where its level is one of the `dropped` lowest; no `key` is read where none
    is. The images lie in a `batch`, so many `before` them. From the unit `start` to `stop`.
    """
    zero, factors = x.dtype.type(0), np.ones(x.shape[2], x.dtype)
    drawn = levels(key, x.shape[0] * batch if dropped else 0)
    scale, lowest_kept = x.dtype.type(scaling(dropped)), np.int16(dropped - LEVELS // 2)
    for f in range(start, stop):
        if dropped:
            row = drawn[f * batch + before : (f + 1) * batch]
            for b in range(x.shape[2]):
                factors[b] = scale if row[b] >= lowest_kept else zero
        for p in range(x.shape[1]):
            for b in range(x.shape[2]):
                x[f, p, b] = max(x[f, p, b], zero) * factors[b]


@compiled
def scaling(dropped):
    """What keeps the mean where so many of LEVELS are dropped."""
    return LEVELS / (LEVELS - dropped) if dropped < LEVELS else 0.0


@compiled
def relu_dropout_vjp(gradient, y, dropped):
    """In place: the `gradient` scaled where the output `y` is positive, else 0; of one length."""
    zero, scale = y.dtype.type(0), y.dtype.type(scaling(dropped))
    for n in range(len(y)):
        gradient[n] = gradient[n] * scale if y[n] > zero else zero


@compiled
def exp(x):
    """exp of a float32 to seven digits; exp(-87) below that, and infinity above 88.4.

    A power of two times a polynomial, Cephes' `expf`: the math library's takes one number at a
    time, where this becomes vector instructions.
    """
    x = min(max(x, np.float32(-87)), np.float32(89))  # 2^128, whose bits are infinity's
    power = np.floor(x * np.float32(1.44269504088896341) + np.float32(0.5))
    r = x - power * np.float32(0.693359375) + power * np.float32(2.12194440e-4)
    y = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    y = (y * r + np.float32(8.3334519073e-3)) * r + np.float32(4.1665795894e-2)
    y = (y * r + np.float32(1.6666665459e-1)) * r + np.float32(5.0000001201e-1)
    bits = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    return (y * r * r + r + np.float32(1)) * bits.view(np.float32)


@compiled
def sigmoid(x):
    """In place on `x` [N]: 1 / (1 + exp(-x))."""
    one = np.float32(1)
    for n in range(len(x)):
        x[n] = one / (one + exp(-x[n]))


@compiled
def sigmoid_vjp(gradient, y):
    """In place: `gradient` · `y` (1 - `y`); of one length."""
    one = np.float32(1)
    for n in range(len(y)):
        gradient[n] *= y[n] * (one - y[n])


@compiled
def noisy(pixels, images, x, out, key, before, batch, normal, speckle, shares, mean, gaussian):
    """`out` = `x`, [P, B] each, with speckle, salt & pepper and Gaussian noise, each clipped.

    `normal` has a value for each level, `speckle` and `gaussian` are standard deviations, and so
    many `shares` of all levels are salt, and as many pepper. The images lie in a `batch`, so many
    `before` them.
    """
    x, out = floats(x, 0, (pixels, images)), floats(out, 0, (pixels, images))
    zero, one, middle = x.dtype.type(0), x.dtype.type(1), len(normal) // 2
    speckle, gaussian, mean = x.dtype.type(speckle), x.dtype.type(gaussian), x.dtype.type(mean)
    drawn = levels(key, 3 * x.shape[0] * batch).reshape(3, x.shape[0], batch)
    of_speckle, of_gaussian = np.empty_like(x[0]), np.empty_like(x[0])
    for p in range(x.shape[0]):
        first, second, third = drawn[0, p, before:], drawn[1, p, before:], drawn[2, p, before:]
        for b in range(x.shape[1]):  # looked up apart, so that the rest becomes vector instructions
            of_speckle[b], of_gaussian[b] = normal[first[b] + middle], normal[third[b] + middle]
        for b in range(x.shape[1]):
            y = x[p, b] + x[p, b] * speckle * of_speckle[b]
            level = second[b] + middle
            y = min(max(y, zero), one)
            y = zero if level < shares else y
            y = one if level >= len(normal) - shares else y
            y = y + mean + gaussian * of_gaussian[b]
            out[p, b] = min(max(y, zero), one)


@compiled
def sample(latents, images, mu, log_var, key, before, batch, normal, offset, out):
    """`out` = `mu` + `offset`, a draw from N(0, exp(`log_var`)); all [Z, B].

    `normal` has a value for each level. The images lie in a `batch`, so many `before` them.
    """
    mu, log_var = floats(mu, 0, (latents, images)), floats(log_var, 0, (latents, images))
    offset, out = floats(offset, 0, (latents, images)), floats(out, 0, (latents, images))
    half, middle = np.float32(0.5), len(normal) // 2
    drawn = levels(key, len(mu) * batch).reshape(len(mu), batch)
    for z in range(len(mu)):
        row = drawn[z, before:]
        for b in range(mu.shape[1]):  # looked up apart, see `noisy`
            offset[z, b] = normal[row[b] + middle]
        for b in range(mu.shape[1]):
            offset[z, b] *= exp(half * log_var[z, b])
            out[z, b] = mu[z, b] + offset[z, b]


@compiled
def sample_vjp(numbers, gradient, offset, out):
    """`out` = the gradient of `log_var`, from that of the sample, which is that of `mu` too."""
    gradient, offset = floats(gradient, 0, numbers), floats(offset, 0, numbers)
    half, out = np.float32(0.5), floats(out, 0, numbers)
    for n in range(numbers):
        out[n] = half * gradient[n] * offset[n]


@compiled
def kl_divergence(latents, images, mu, log_var, out):
    """`out` [B] = the sum over Z of (`mu`² + exp(`log_var`) - 1 - `log_var`) / 2, [Z, B] each."""
    mu, log_var = floats(mu, 0, (latents, images)), floats(log_var, 0, (latents, images))
    out = floats(out, 0, (images,))
    half, one = np.float32(0.5), np.float32(1)
    out[:] = 0
    for z in range(len(mu)):
        for b in range(mu.shape[1]):
            rest = exp(log_var[z, b]) - one - log_var[z, b]
            out[b] += half * (mu[z, b] * mu[z, b] + rest)


@compiled
def kl_divergence_vjp(latents, images, out, gradient, mu, log_var):
    """`out` [2, Z, B] = those of `mu` and `log_var`, from the gradient of `kl_divergence` [B]."""
    mu, log_var = floats(mu, 0, (latents, images)), floats(log_var, 0, (latents, images))
    out, gradient = floats(out, 0, (2, latents, images)), floats(gradient, 0, (images,))
    half, one = np.float32(0.5), np.float32(1)
    for z in range(len(mu)):
        for b in range(mu.shape[1]):
            out[0, z, b] = gradient[b] * mu[z, b]
            out[1, z, b] = half * gradient[b] * (exp(log_var[z, b]) - one)


@compiled
def squared_error(features, images, x_hat, x, scale, out):
    """`out` [B] = `scale` times the sum over F of (`x_hat` - `x`)², [F, B] each."""
    x_hat, x = floats(x_hat, 0, (features, images)), floats(x, 0, (features, images))
    scale, out = np.float32(scale), floats(out, 0, (images,))
    out[:] = 0
    for f in range(x.shape[0]):
        for b in range(x.shape[1]):
            difference = x_hat[f, b] - x[f, b]
            out[b] += difference * difference
    for b in range(x.shape[1]):
        out[b] *= scale


@compiled
def squared_error_vjp(features, images, out, gradient, x_hat, x, scale):
    """`out` [F, B] = 2 `scale` (`x_hat` - `x`) `gradient` [B]."""
    x_hat, x = floats(x_hat, 0, (features, images)), floats(x, 0, (features, images))
    out, gradient = floats(out, 0, (features, images)), floats(gradient, 0, (images,))
    scale = np.float32(scale)
    of_difference = np.empty_like(gradient)
    for b in range(x.shape[1]):
        of_difference[b] = (scale + scale) * gradient[b]
    for f in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[f, b] = (x_hat[f, b] - x[f, b]) * of_difference[b]


@compiled
def pixels_batch_last(images, index, out):
    """`out` [P, B] = the rows `index` [B] of `images` [N, P], / 255."""
    of, largest = np.empty(256, out.dtype), out.dtype.type(255)
    for value in range(256):
        of[value] = value / largest
    eights = len(index) // 8 * 8
    for b in range(0, eights, 8):  # each image lies elsewhere, and a core foresees few places
        x0, x1, x2, x3 = four_rows(images, index[b : b + 4])
        x4, x5, x6, x7 = four_rows(images, index[b + 4 : b + 8])
        for p in range(len(out)):
            y = out[p, b : b + 8]
            y[0], y[1], y[2], y[3] = of[x0[p]], of[x1[p]], of[x2[p]], of[x3[p]]
            y[4], y[5], y[6], y[7] = of[x4[p]], of[x5[p]], of[x6[p]], of[x7[p]]
    for b in range(eights, len(index)):
        for p in range(len(out)):
            out[p, b] = of[images[index[b], p]]


@compiled
def add_total(numbers, values, total):
    """Add so many `values` to `total`, of float64."""
    values, total = floats(values, 0, (numbers,)), carray(to_float64(total), (1,))
    for value in values:
        total[0] += value


@compiled
def four_rows(x, index):
    """The rows of `x` at `index` [4]."""
    return x[index[0]], x[index[1]], x[index[2]], x[index[3]]


@compiled
def adam(numbers, values, gradients, mean, square, step_size, correction, beta1, beta2, epsilon):
    """Adam's update of so many `values`, after which the gradients are zero."""
    values, gradients = floats(values, 0, numbers), floats(gradients, 0, numbers)
    mean, square = floats(mean, 0, numbers), floats(square, 0, numbers)
    step_size, correction = np.float32(step_size), np.float32(correction)
    one, beta1, beta2 = np.float32(1), np.float32(beta1), np.float32(beta2)
    epsilon = np.float32(epsilon)
    for k in range(len(values)):
        gradient = gradients[k]
        mean[k] = beta1 * mean[k] + (one - beta1) * gradient
        square[k] = beta2 * square[k] + (one - beta2) * gradient * gradient
        values[k] -= step_size * mean[k] / (np.sqrt(square[k]) / correction + epsilon)
        gradients[k] = 0


def pointer_to(kind):
    """Compiled code that takes an address, int64, as that of numbers or records of a kind."""

    @intrinsic
    def pointer(typing, address):
        def code(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), code

    return pointer


to_float32, to_uint32 = pointer_to(types.float32), pointer_to(types.uint32)
to_float64 = pointer_to(types.float64)
to_step, to_task = pointer_to(numba.from_dtype(STEP)), pointer_to(numba.from_dtype(TASK))


@compiled
def floats(address, start, shape):
    """The float32 numbers of this shape from the `start`-th behind an address on.

    A tensor's address takes an eighth of the time of a NumPy array over its memory.
    """
    return carray(to_float32(address + 4 * start), shape)


@compiled
def key_at(address, length):
    """A key for `philox`; of none there may be no numbers."""
    return carray(to_uint32(address), (length,))


@compiled
def step_at(table, n):
    """The `n`-th row of a chain's table."""
    return carray(to_step(table), (n + 1,))[n]


@compiled
def task_at(address):
    """The task of the team at an address."""
    return carray(to_task(address), (1,))[0]


@compiled
def forwards(team, threads, table, images, x, parameters, keys, before, batch, memory, out):
    """Fill `memory` and `out` from `x` [N, B] as `table` says: see `latent_digits.engine.chains`.

    These and the parameters, in one row, are addresses of float32. Dropout draws from `keys`, two
    uint32 for each step that drops. The images lie in a `batch`, so many `before` them. `team` is
    the address of what so many `threads` share, this one and those that `serve`.
    """
    task = task_at(team)
    task.images, task.x, task.parameters, task.memory = images, x, parameters, memory
    task.out, task.before, task.batch = out, before, batch
    task.table, task.key, task.work = table.ctypes.data, keys.ctypes.data, FORWARDS
    for n in range(len(table)):
        step = table[n]
        for phase in range(2 if step.kind == CONV else 1):
            task.step, task.phase = n, phase
            share_out(team, parts(step, images, threads))
        if step.dropped:
            task.key += KEY_BYTES


@compiled
def backwards(
    team,
    threads,
    table,
    images,
    x,
    parameters,
    memory,
    out,
    of_x,
    gradients,
    of_memory,
    given,
    of_out,
):
    """The gradient of `x`, from that of `out` as `given` and what `forwards` left, to `of_x`.

    All are addresses, as in `forwards`; that of `of_x` is 0 where it is not wanted. Gradients of
    the parameters are added to `gradients`, in their order. What lies at `of_memory` is
    overwritten; at `of_out` is room for the gradient before a chain's last ReLU or sigmoid, or
    where it ends with none what is given.
    """
    task = task_at(team)
    task.images, task.x, task.parameters, task.memory = images, x, parameters, memory
    task.out, task.of_x, task.gradients, task.table = out, of_x, gradients, table.ctypes.data
    task.of_memory, task.given, task.of_out = of_memory, given, of_out
    task.work = BACKWARDS
    for n in range(len(table) - 1, -1, -1):
        step = table[n]
        for phase in range(2 if step.kind == CONV_TRANSPOSE else 1):
            task.step, task.phase = n, phase
            share_out(team, parts(step, images, threads))


@compiled
def parts(step, images, threads):
    """In how many parts the team does a step; a small one is done sooner than it is divided.

    A part of a layer that drops single units would draw for all of them.
    """
    size = step.out_channels * step.out_rows * step.out_cols * images
    if threads == 1 or (step.dropped and step.units * images == size):
        return 1
    if step.kind == RESHAPE:
        return 1
    if step.kind == LINEAR:
        each = step.channels
    elif step.kind == CONV:
        each = step.channels * 9
    elif step.kind == CONV_TRANSPOSE:
        each = step.channels * 9 // 4
    else:
        each = 8  # as long as so many products of a layer
    return threads if size * each > WORTH_DIVIDING else 1


def do_part(team, part, count):
    """Of the task the `part`-th of `count`, which together do what one alone would, to the bit.

    What goes wrong, for want of memory, is for the thread to tell whose task it is.
    """
    try:
        task = task_at(team)
        step = step_at(task.table, task.step)
        if task.work == FORWARDS:
            forwards_part(task, step, part, count)
        else:
            backwards_part(task, step, part, count)
    except Exception:
        store(team + FAILED, 1)


# Called by address it is compiled once, where it would be copied into each of its callers. What is
# in the cache is of this file as it was imported, as it is of the other functions.
parts_of_tasks = CFunc(
    do_part, ((types.int64,) * 3, types.void), locals={}, options={"error_model": "numpy"}
)
parts_of_tasks.enable_caching()


@cache
def address_of_parts():
    """Where the code of `do_part` is, compiled when it is first asked for."""
    parts_of_tasks.compile()
    return parts_of_tasks.address


@compiled
def forwards_part(task, step, part, count):
    """`do_part` of `forwards`."""
    x = before_it(step, step.x, task.images, task.x, task.memory, task.out)
    y = after_it(step, step.y, task.images, task.x, task.memory, task.out)
    if step.kind == LINEAR:
        weight, bias = linear(step, task.parameters)
        a, b = bounds(len(weight), part, count)
        product(weight[a:b], columns(x), bias[a:b], columns(y)[a:b])
    elif step.kind == CONV:
        windows = windows_at(step.windows, x, y, task.memory)
        if task.phase == 0:
            a, b = bounds(4 * len(x), part, count)
            polyphase(x, step.padding, windows, a, b)
        else:
            weight, bias = convolution(step, task.parameters)
            a, b = bounds_of_pairs(len(y), part, count)
            correlate(windows, weight[a:b], bias[a:b], y[a:b])
    elif step.kind == CONV_TRANSPOSE:
        weight, bias = transposed(step, task.parameters)
        a, b = bounds(len(y) * y.shape[1], part, count)
        scatter(x, weight, bias, step.padding, y, a, b)
    elif step.kind == RELU_DROPOUT:
        elements = y.size // max(step.units * task.images, 1)
        key = key_at(task.key, 2 if step.dropped else 0)
        a, b = bounds(step.units, part, count)
        units = y.reshape(step.units, elements, task.images)
        relu_dropout(units, key, task.before, task.batch, step.dropped, a, b)
    elif step.kind == SIGMOID:
        a, b = bounds(y.size, part, count)
        sigmoid(y.ravel()[a:b])


@compiled
def backwards_part(task, step, part, count):
    """`do_part` of `backwards`."""
    x = before_it(step, step.x, task.images, task.x, task.memory, task.out)
    y = after_it(step, step.y, task.images, task.x, task.memory, task.out)
    of_y = after_it(step, step.of_y, task.images, task.of_x, task.of_memory, task.of_out)
    to_x = before_it(step, step.of_x, task.images, task.of_x, task.of_memory, task.of_out)
    wanted = task.of_x != 0 or step.x != INPUT
    nothing = np.zeros(step.channels, np.float32)  # for a bias, which the way back has none of
    if step.kind == LINEAR:
        weight, _ = linear(step, task.parameters)
        of_weight, of_bias = linear(step, task.gradients)
        a, b = bounds(len(weight), part, count)
        outer_products(columns(of_y)[a:b], columns(x), of_weight[a:b])
        sums(columns(of_y)[a:b], of_bias[a:b])
        if wanted:
            a, b = bounds(step.channels, part, count)
            product(weight.T[a:b], columns(of_y), nothing[a:b], columns(to_x)[a:b])
    elif step.kind == CONV:
        weight, _ = convolution(step, task.parameters)
        of_weight, of_bias = convolution(step, task.gradients)
        windows = windows_at(step.windows, x, y, task.memory)
        a, b = bounds_of_pairs(len(y), part, count)
        weight_gradient(windows, of_y[a:b], of_weight[a:b])
        sums(of_y.reshape(len(of_y), of_y[0].size)[a:b], of_bias[a:b])
        if wanted:
            a, b = bounds(len(x) * x.shape[1], part, count)
            scatter(of_y, weight, nothing, step.padding, to_x, a, b)
    elif step.kind == CONV_TRANSPOSE:
        windows = windows_at(step.windows, y, x, task.of_memory)
        if task.phase == 0:
            a, b = bounds(4 * len(y), part, count)
            polyphase(of_y, step.padding, windows, a, b)
        else:
            weight, _ = transposed(step, task.parameters)
            of_weight, of_bias = transposed(step, task.gradients)
            a, b = bounds_of_pairs(len(x), part, count)
            weight_gradient(windows, x[a:b], of_weight[a:b])
            if wanted:
                correlate(windows, weight[a:b], nothing[a:b], to_x[a:b])
            a, b = bounds(len(y), part, count)
            sums(of_y.reshape(len(of_y), of_y[0].size)[a:b], of_bias[a:b])
    elif step.kind == RELU_DROPOUT:
        a, b = bounds(y.size, part, count)
        copy_given(task, step, a, b)
        relu_dropout_vjp(of_y.ravel()[a:b], y.ravel()[a:b], step.dropped)
    elif step.kind == SIGMOID:
        a, b = bounds(y.size, part, count)
        copy_given(task, step, a, b)
        sigmoid_vjp(of_y.ravel()[a:b], y.ravel()[a:b])


@compiled
def copy_given(task, step, start, stop):
    """Of the gradient of a chain's output a part to where it may be changed."""
    if step.y == OUTPUT:
        given, out = (
            floats(task.given, start, (stop - start,)),
            floats(task.of_out, start, (stop - start,)),
        )
        for n in range(len(out)):
            out[n] = given[n]


@compiled
def bounds(size, part, count):
    """Where the `part`-th of `count` begins and ends, of so many."""
    return size * part // count, size * (part + 1) // count


@compiled
def bounds_of_pairs(size, part, count):
    """`bounds` of channels of which kernels take two at a time."""
    a, b = bounds((size + 1) // 2, part, count)
    return 2 * a, min(2 * b, size)


@compiled
def before_it(step, place, images, x, memory, out):
    """The activation before `step`, or its gradient, at `place`, as [C, H, W, B]."""
    shape = (step.channels, step.rows, step.cols, images)
    return activation(place, shape, x, memory, out)


@compiled
def after_it(step, place, images, x, memory, out):
    """The activation after `step`, or its gradient, at `place`, as [C, H, W, B]."""
    shape = (step.out_channels, step.out_rows, step.out_cols, images)
    return activation(place, shape, x, memory, out)


@compiled
def activation(place, shape, x, memory, out):
    """What lies at `place`: the input `x`, the output, or a part of `memory`."""
    if place == INPUT:
        return floats(x, 0, shape)
    if place == OUTPUT:
        return floats(out, 0, shape)
    return floats(memory, place * shape[3], shape)


@compiled
def columns(activation):
    """[C, H, W, B] as [F, B]."""
    channels, rows, cols, images = activation.shape
    return activation.reshape(channels * rows * cols, images)


@compiled
def windows_at(place, x, y, memory):
    """What `polyphase` makes of `x` [C, H, W, B] for `y` [C', R, S, B]: [C, 2, 2, R+1, S+1, B]."""
    shape = (len(x), 2, 2, y.shape[1] + 1, y.shape[2] + 1, y.shape[3])
    return floats(memory, place * y.shape[3], shape)


@compiled
def linear(step, row):
    """Weight [out, in] and bias [out] of a linear layer, of what all parameters are in a row."""
    shape = (step.out_channels, step.channels)
    return floats(row, step.weight, shape), bias_of(step, row, shape[0] * shape[1])


@compiled
def convolution(step, row):
    """Weight [out, in, 3, 3] and bias [out] of a convolution."""
    shape = (step.out_channels, step.channels, 3, 3)
    return floats(row, step.weight, shape), bias_of(step, row, shape[0] * shape[1] * 9)


@compiled
def transposed(step, row):
    """Weight [in, out, 3, 3] and bias [out] of a transposed convolution."""
    shape = (step.channels, step.out_channels, 3, 3)
    return floats(row, step.weight, shape), bias_of(step, row, shape[0] * shape[1] * 9)


@compiled
def bias_of(step, row, weights):
    """The bias [out], behind so many weights."""
    return floats(row, step.weight + weights, (step.out_channels,))


# How the threads of a team share a task. Parts are taken, not given, so that a thread that the
# system lets wait holds up nobody before it has taken one.


@compiled
def share_out(team, count):
    """Do a task in so many parts, together with the threads that `serve`."""
    if count == 1:
        call(team, 0, 1)
    else:
        store_modes(team + MODES)
        store(team + DONE, 0)
        store(team + TICKET, count << 32)
        while take_part(team):
            pass
        waited = 0
        while load(team + DONE) < count:
            waited += 1
            wait(waited)
    if load(team + FAILED):
        store(team + FAILED, 0)
        raise MemoryError("there is too little memory for a step of the network")


@compiled
def take_part(team):
    """Do one of the parts that nobody has taken; False where there is none.

    The ticket's upper half is how many parts the task has, the lower how many were asked for.
    """
    ticket = load(team + TICKET)
    if ticket & LOWER >= ticket >> 32:
        return False
    ticket = add(team + TICKET, 1)  # perhaps that of a later task, which is as good
    part, count = ticket & LOWER, ticket >> 32
    if part >= count:
        return False
    load_modes(team + MODES)
    call(team, part, count)
    add(team + DONE, 1)
    return True


@released
def serve(team):
    """Take parts of a team's tasks until it ends. For a thread of its own."""
    waited = 0
    while load(team + ENDING) == 0:
        if take_part(team):
            waited = 0
            add(team + HELPED, 1)
        else:
            waited += 1
            wait(waited)


@compiled
def wait(waited):
    """A moment: short ones for the time between two chains, then such as leave the core.

    Not `sched_yield`: Linux counts each call as a whole slice of time, and lets who calls it in a
    loop wait for as long.
    """
    if waited < 20_000:
        pause()
    else:
        usleep(min(waited - 20_000, 1_000))


usleep = types.ExternalFunction("usleep", types.intc(types.uintc))


def word_at(builder, address):
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@intrinsic
def call(typing, team, part, count):
    """Do a part: `do_part`, whose address the team has."""

    def code(context, builder, signature, arguments):
        word = ir.IntType(64)
        place = builder.add(arguments[0], ir.Constant(word, CODE))
        address = builder.load(word_at(builder, place))
        kind = ir.FunctionType(ir.VoidType(), [word] * 3).as_pointer()
        builder.call(builder.inttoptr(address, kind), arguments)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@intrinsic
def add(typing, address, value):
    """Add to the int64 at an address at once, whoever else does; gives what it was before."""

    def code(context, builder, signature, arguments):
        place = word_at(builder, arguments[0])
        return builder.atomic_rmw("add", place, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), code


@intrinsic
def load(typing, address):
    """The int64 at an address, and with it all that was written before it."""

    def code(context, builder, signature, arguments):
        return builder.load_atomic(word_at(builder, arguments[0]), "acquire", 8)

    return types.int64(types.int64), code


@intrinsic
def store(typing, address, value):
    """Write the int64 at an address, after all that was written before."""

    def code(context, builder, signature, arguments):
        place = word_at(builder, arguments[0])
        builder.store_atomic(arguments[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


def instruct(context, builder, name, arguments):
    """Add an instruction of x86-64 with these addresses; none on another architecture."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte] * len(arguments))
    if platform.machine() == "x86_64":
        called = builder.module.declare_intrinsic(name, (), kind)
        builder.call(called, [builder.inttoptr(one, byte) for one in arguments])
    return context.get_dummy_value()


@intrinsic
def pause(typing):
    """What a processor is told that waits for another."""

    def code(context, builder, signature, arguments):
        return instruct(context, builder, "llvm.x86.sse2.pause", arguments)

    return types.void(), code


@intrinsic
def store_modes(typing, address):
    """How this thread rounds, and whether it takes denormal numbers for zero."""

    def code(context, builder, signature, arguments):
        return instruct(context, builder, "llvm.x86.sse.stmxcsr", arguments)

    return types.void(types.int64), code


@intrinsic
def load_modes(typing, address):
    """Let this thread do as the one whose modes are at an address."""

    def code(context, builder, signature, arguments):
        return instruct(context, builder, "llvm.x86.sse.ldmxcsr", arguments)

    return types.void(types.int64), code
