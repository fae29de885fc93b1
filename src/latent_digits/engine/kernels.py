"""The loops of a training step, compiled for the CPU by Numba, and a chain of layers made of them.

As PyTorch operations each of these is several passes over memory and ten to fifty microseconds of
bookkeeping a pass; as one loop it is one pass. Activations lie batch-last, so every inner loop runs
over consecutive floats and becomes vector instructions. Callers state the same in PyTorch
operations, for other devices, and tests hold the two equal.

Compiled code is kept in `__pycache__`, so that a process compiles nothing that another has. All of
it is in this file, since Numba sees a change only in the file of the function that is called. An
array whose address is taken is named once more behind the last use of this: it would be freed.

C channels, H W pixels, B batch; C' channels and R S positions of what a 3×3 kernel makes of them.
"""

import platform
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import extending, njit, types  # pyright: ignore[reportPrivateImportUsage]
from numba.core.ccallback import CFunc
from numba.extending import models, register_model

# Typed for Python, which does not call them: within compiled code they mean something else.
carray: Any = numba.carray  # pyright: ignore[reportPrivateImportUsage]
intrinsic: Any = extending.intrinsic
# Division by zero gives infinity, as in PyTorch: a check for it would forbid vector instructions.
compiled = njit(cache=True, error_model="numpy")
# Without Python's lock, for a thread that works while another holds it.
released = njit(cache=True, error_model="numpy", nogil=True)

LINEAR, CONV, CONV_TRANSPOSE, SIGMOID, RESHAPE = range(5)  # kinds of steps
# Activations begin so many floats an image into memory, but for a chain's input and its output.
INPUT, OUTPUT = -1, -2
# What compiled code knows of a step: in a table, a row a step. See `latent_digits.engine.chains`.
KINDS = ("kind", "padding", "relu", "units", "dropped", "relu_before", "dropped_before")
SIZES = ("channels", "rows", "cols", "out_channels", "out_rows", "out_cols")
PLACES = ("weight", "x", "y", "of_x", "of_y")
STEP = np.dtype([(name, np.int64) for name in (*KINDS, *SIZES, *PLACES)])
# What the threads of a team share: words that they change, each in a cache line of its own, and the
# task of now: a step of a chain in one direction, or on the way back the ReLU that it ends with.
FORWARDS, BACKWARDS, LAST_RELU = range(3)
TICKET, DONE, ENDING, MODES = 0, 64, 128, 192  # bytes behind the team's address
HELPED, CODE, FAILED = 136, 200, 208  # in lines that seldom change, or for one thread
NUMBERS = ("work", "step", "images", "before", "batch")
ADDRESSES = ("table", "x", "parameters", "scale", "levels", "memory", "out")
GRADIENTS = ("of_x", "gradients", "of_memory", "of_out", "given")
TASK = np.dtype(
    {
        "names": [*NUMBERS, *ADDRESSES, *GRADIENTS],
        "formats": [np.int64] * 17,
        "offsets": [256 + 8 * n for n in range(17)],
    }
)
LOWER = 2**32 - 1  # half of an int64
WORTH_DIVIDING = 200_000  # products; some five microseconds
LANES = 16  # numbers computed side by side: two registers of AVX2
LEVELS = 2**16  # equally likely values of a draw, int16 from -LEVELS / 2
# What comes after sums, before they are stored: see `finish`.
AS_THEY_ARE, RECTIFIED, DROPPED, BACK = range(4)
int64: Any = np.int64  # typed for NumPy as less than an int
ZERO = int64(0)  # a function is compiled anew for each literal that it is given, not for this


class Terms(NamedTuple):
    """What is added up: so many rows of numbers, each times a weight."""

    rows: Any  # their addresses, int64 [number]
    weights: Any  # those of their weights for the first unit, int64 [number]
    number: int
    to_next_unit: int  # bytes from a weight to that for the next unit


class After(NamedTuple):
    """What comes after sums, before they are stored; all of it int64."""

    how: int
    distance: int  # bytes from where they are stored to the activation whose gradient they are
    scale: int  # address of LANES equal numbers
    drawn: int  # address of dropout's levels
    least: int  # the lowest level that is kept
    apart: int  # bytes from the levels of one unit that is dropped or kept to those of the next
    elements: int  # an image's numbers in such a unit
    positions: int  # an image's numbers in each unit of the sums
    place: int  # which of an image's numbers the first unit's sum is


@compiled
def product(first_weight, strides, x, bias, out, after):
    """`out` [M, B] = weight [M, K] · `x` [K, B] + `bias` [M], and what comes `after`.

    The first weight is given by its address, the others by the `strides` of M and K.
    """
    inputs = len(x)
    rows, weights = np.empty(inputs, np.int64), np.empty(inputs, np.int64)
    for t in range(inputs):
        k = in_order(t, inputs // 8 * 8)
        rows[t] = x.ctypes.data + k * x.strides[0]
        weights[t] = first_weight + k * strides[1]
    terms = Terms(rows, weights, inputs, strides[0])
    weighted_sums(terms, bias, int64(out.ctypes.data), out.strides[0], out.shape[1], after)


@compiled
def in_order(t, count):
    """Which term is added as the `t`-th of so many.

    Any order would do. This one, the second of four first, is one that a compiler had chosen when
    the results in git were first computed.
    """
    return t ^ 1 if t % 4 < 2 and t | 1 < count else t


@compiled
def weighted_sums(terms, bias, out, stride, length, after):
    """For each unit m of `bias` [M] and n < `length`: the bias + Σ weight[m] · row[n], to `out`.

    `out` is an address, from which the next unit's numbers lie a `stride` away. Each number is one
    chain of fused multiply-adds, a term after the other: the same bits however long the vectors
    are, and whichever numbers are computed side by side. `finish` stores it.
    """
    if length >= LANES:
        if len(bias) == 1 and length >= 4 * LANES:
            sums_of_one_unit(terms, bias, out, length, after)
        else:
            sums_of_units(terms, bias, out, stride, length, after)
    else:  # what is read is copied, to be long enough, and what comes of it is copied back
        units, count, places = len(bias), terms.number, np.empty(terms.number, np.int64)
        how, scale, least = after.how, after.scale, after.least
        room = np.zeros((count + 2 * units, LANES), bias.dtype)
        drawn = np.empty((units, LANES), np.int16)
        start, width = int64(room.ctypes.data), room.strides[0]
        for t in range(count):
            places[t] = start + t * width
            copy(floats(terms.rows[t], 0, (length,)), room[t])
        for m in range(units):
            if how == DROPPED:
                copy(levels_at(levels_of(after, m), length), drawn[m])
            elif how == BACK:
                active = floats(out + m * stride + after.distance, 0, (length,))
                copy(active, room[count + units + m])
        copies = Terms(places, terms.weights, count, terms.to_next_unit)
        copied, apart = int64(drawn.ctypes.data), drawn.strides[0]
        then = After(how, units * width, scale, copied, least, apart, 1, 1, 0)
        sums_of_units(copies, bias, start + count * width, width, int64(LANES), then)
        for m in range(units):
            copy(room[count + m, :length], floats(out + m * stride, 0, (length,)))
        drawn[:] = 0  # it is alive until here


@compiled
def copy(x, out):
    """Copy all of `x` to the beginning of `out`."""
    for n in range(len(x)):
        out[n] = x[n]


@compiled
def sums_of_units(terms, bias, out, stride, length, after):
    """`weighted_sums`, of four units `LANES` numbers at a time: as a core has registers for.

    What is left of either is taken together with some that were done before.
    """
    rows, weights, count, weight_stride = terms
    biases, last = bias.ctypes.data, len(bias) - 1
    for first in range(0, len(bias), 4):
        m0 = max(min(first, len(bias) - 4), 0)
        m1, m2, m3 = min(m0 + 1, last), min(m0 + 2, last), min(m0 + 3, last)
        d0, d1 = levels_of(after, m0), levels_of(after, m1)
        d2, d3 = levels_of(after, m2), levels_of(after, m3)
        for begin in range(0, length, LANES):
            n = 4 * min(begin, length - LANES)
            y0, y1 = spread(biases + 4 * m0), spread(biases + 4 * m1)
            y2, y3 = spread(biases + 4 * m2), spread(biases + 4 * m3)
            for t in range(count):
                x, w = wide(rows[t] + n), weights[t]
                y0 = fma(spread(w + m0 * weight_stride), x, y0)
                y1 = fma(spread(w + m1 * weight_stride), x, y1)
                y2 = fma(spread(w + m2 * weight_stride), x, y2)
                y3 = fma(spread(w + m3 * weight_stride), x, y3)
            finish(y0, out + m0 * stride + n, d0 + n // 2, after)
            finish(y1, out + m1 * stride + n, d1 + n // 2, after)
            finish(y2, out + m2 * stride + n, d2 + n // 2, after)
            finish(y3, out + m3 * stride + n, d3 + n // 2, after)


@compiled
def sums_of_one_unit(terms, bias, out, length, after):
    """`weighted_sums` of one unit, four times `LANES` numbers at a time."""
    rows, weights, count, _ = terms
    drawn = levels_of(after, ZERO)
    for begin in range(0, length, 4 * LANES):
        n = 4 * min(begin, length - 4 * LANES)
        y0 = y1 = y2 = y3 = spread(bias.ctypes.data)
        for t in range(count):
            x, w = rows[t] + n, spread(weights[t])
            y0, y1 = fma(w, wide(x), y0), fma(w, wide(x + 4 * LANES), y1)
            y2, y3 = fma(w, wide(x + 8 * LANES), y2), fma(w, wide(x + 12 * LANES), y3)
        place, d = out + n, drawn + n // 2
        finish(y0, place, d, after)
        finish(y1, place + 4 * LANES, d + 2 * LANES, after)
        finish(y2, place + 8 * LANES, d + 4 * LANES, after)
        finish(y3, place + 12 * LANES, d + 6 * LANES, after)


@compiled
def finish(numbers, place, drawn, after):
    """Store sums, `numbers`, at `place`, with what comes `after`: no pass over memory of its own.

    That is nothing; a ReLU; a ReLU and dropout, whose levels lie at `drawn`; or, on the way `BACK`
    through both, the scale where the activation is positive.
    """
    if after.how == AS_THEY_ARE:
        put(place, numbers)
    elif after.how == RECTIFIED:
        put(place, rectified(numbers))
    elif after.how == DROPPED:
        put(place, times(rectified(numbers), where_level(drawn, after.least, wide(after.scale))))
    else:
        active = wide(place + after.distance)
        put(place, where_positive(active, times(numbers, wide(after.scale))))


@compiled
def levels_of(after, unit):
    """The address of the levels [B] for the dropout behind a unit of `weighted_sums`."""
    if after.how == DROPPED:
        element = unit * after.positions + after.place
        return after.drawn + element // after.elements * after.apart
    return 0


@compiled
def at(after, place):
    """`after` for another place."""
    how, distance, scale, drawn, least, apart, elements, positions, _ = after
    return After(how, distance, scale, drawn, least, apart, elements, positions, place)


@compiled
def outer_products(gradient, x, out):
    """Add `gradient` [M, B] · `x` [K, B] transposed to `out` [M, K].

    Each sum has eight lanes, every eighth image one, but for the inputs beyond whole eights. Four
    units and LANES inputs are taken at a time, the images' numbers of these behind each other.
    """
    (units, inputs), batch = out.shape, x.shape[1]
    whole, stride, last = inputs // 8 * 8, gradient.strides[0], units - 1
    images, lanes = np.zeros((batch, LANES), x.dtype), np.zeros((8, 4, LANES), x.dtype)
    start, room, nothing = images.ctypes.data, lanes.ctypes.data, spread(lanes.ctypes.data)
    for k in range(0, whole, LANES):
        width = min(LANES, whole - k)
        for n in range(width):
            for b in range(batch):
                images[b, n] = x[k + n, b]
        for m in range(0, units, 4):
            g0 = gradient.ctypes.data + m * stride
            g1, g2 = g0 + min(1, last - m) * stride, g0 + min(2, last - m) * stride
            g3 = g0 + min(3, last - m) * stride
            for lane in range(8):
                w0 = w1 = w2 = w3 = nothing
                for n in range(batch // 8):
                    b = 4 * (8 * n + lane)
                    x0 = wide(start + LANES * b)
                    w0, w1 = fma(spread(g0 + b), x0, w0), fma(spread(g1 + b), x0, w1)
                    w2, w3 = fma(spread(g2 + b), x0, w2), fma(spread(g3 + b), x0, w3)
                place = room + 16 * LANES * lane
                put(place, w0)
                put(place + 4 * LANES, w1)
                put(place + 8 * LANES, w2)
                put(place + 12 * LANES, w3)
            for one in range(min(4, units - m)):
                place, g = room + 4 * LANES * one, g0 + one * stride
                w = total_of_eight(place, 16 * LANES)
                for b in range(batch // 8 * 8, batch):
                    w = fma(spread(g + 4 * b), wide(start + 4 * LANES * b), w)
                if width == LANES:
                    place = out.ctypes.data + 4 * ((m + one) * inputs + k)
                    put(place, plus(wide(place), w))
                else:
                    put(place, w)
                    for n in range(width):
                        out[m + one, k + n] += lanes[0, one, n]
    for k in range(whole, inputs):
        for m in range(units):
            out[m, k] += dot(gradient[m], x[k], 1, lanes.ravel())


@compiled
def total_of_eight(place, apart):
    """The sum of eight vectors in memory: of each n and n + 4, of these n and n + 2, ..."""
    v0, v1 = wide(place), wide(place + apart)
    v2, v3 = wide(place + 2 * apart), wide(place + 3 * apart)
    v0, v1 = plus(v0, wide(place + 4 * apart)), plus(v1, wide(place + 5 * apart))
    v2, v3 = plus(v2, wide(place + 6 * apart)), plus(v3, wide(place + 7 * apart))
    return plus(plus(v0, v2), plus(v1, v3))


@compiled
def sums(x, out):
    """Add the sums of the rows of `x` [M, N] to `out` [M]."""
    ones, found = np.ones(32, x.dtype), np.empty(32, x.dtype)
    for m in range(len(out)):
        out[m] += dot(x[m], ones, 0, found)


@compiled
def dot(x, y, step, found):
    """Σ `x` [N] · `y`, of which a `step` of 1 goes on with `x`, and of 0 repeats itself.

    The sum has 32 lanes, for what is left four, and what is left of this is added one by one.
    `found` [32] is room for them.
    """
    a, b, place = x.ctypes.data, y.ctypes.data, found.ctypes.data
    w0 = w1 = w2 = w3 = zeros()
    for k in range(len(x) // 32):
        p, q = a + 128 * k, b + 128 * k * step
        w0, w1 = fma(eight(p), eight(q), w0), fma(eight(p + 32), eight(q + 32), w1)
        w2, w3 = fma(eight(p + 64), eight(q + 64), w2), fma(eight(p + 96), eight(q + 96), w3)
    put(place, w0)
    put(place + 32, w1)
    put(place + 64, w2)
    put(place + 96, w3)
    for n in range(8):
        found[n] = found[n] + found[n + 8] + found[n + 16] + found[n + 24]
    for n in range(4):
        found[n] += found[n + 4]
    found[0] = (found[0] + found[2]) + (found[1] + found[3])
    found[1:4] = 0
    for n in range(len(x) // 32 * 32, len(x) - 3, 4):
        for lane in range(4):
            found[lane] = fma(x[n + lane], y[step * n + lane], found[lane])
    total = (found[0] + found[2]) + (found[1] + found[3])
    for n in range(len(x) // 4 * 4, len(x)):
        total = fma(x[n], y[step * n], total)
    return total


@compiled
def meetings(x, padding, r, s, nothing, places):
    """Where the pixels of `x` [C, H, W, B] lie that the 9·C weights meet at a position: `places`.

    `nothing` is the address of so many zeros as a pixel has images, for those outside.
    """
    channels, height, width, _ = x.shape
    for c in range(channels):
        for i in range(3):
            h = 2 * r + i - padding
            for j in range(3):
                w = 2 * s + j - padding
                inside = 0 <= h < height and 0 <= w < width
                places[9 * c + 3 * i + j] = pixel(x, c, h, w) if inside else nothing


@compiled
def pixel(x, c, h, w):
    """Where a pixel of `x` [C, H, W, B] lies."""
    _, height, width, batch = x.shape
    return x.ctypes.data + 4 * batch * ((c * height + h) * width + w)


@compiled
def correlate(x, weight, bias, padding, out, after, start, stop):
    """`weight` [C', C, 3, 3] over every other pixel of `x` [C, H, W, B], and `bias` [C'].

    To `out` [C', R, S, B], from `start` to `stop` of the R·S positions, with what comes `after`.
    """
    _, _, cols, batch = out.shape
    count, nothing = 9 * len(x), np.zeros(batch, x.dtype)
    rows, weights = np.empty(count, np.int64), np.empty(count, np.int64)
    for t in range(count):
        weights[t] = weight.ctypes.data + 4 * t
    terms = Terms(rows, weights, count, weight.strides[0])
    for place in range(start, stop):
        r, s = place // cols, place % cols
        meetings(x, padding, r, s, int64(nothing.ctypes.data), rows)
        then = at(after, place)
        weighted_sums(terms, bias, pixel(out, ZERO, r, s), out.strides[0], batch, then)


@compiled
def weight_gradient(x, gradient, padding, out):
    """Add the gradient of `correlate`'s weight to `out` [C', C, 3, 3], from that of its output.

    Two channels at a time, five weights of each and then four, are as many as a core has registers
    for; an odd channel is taken with itself. Along a row of positions each sum has eight lanes.
    """
    channels, (_, rows, cols, batch), last = len(x), gradient.shape, len(out) - 1
    odd, nothing, found = batch % 8 > 0, np.zeros(batch, x.dtype), np.empty(32, x.dtype)
    met = np.empty((cols, 9 * channels), np.int64)
    joined = np.empty((9 * channels, cols * batch if odd else 0), x.dtype)
    runs, length = (1, cols * batch) if odd else (cols, batch)
    eights = length // 8
    for r in range(rows):
        for s in range(cols):
            meetings(x, padding, r, s, int64(nothing.ctypes.data), met[s])
        if odd:  # the lanes go on from one position to the next
            join(met, batch, joined)
        for c in range(channels):
            of = met[:, 9 * c : 9 * c + 9]
            for k in range(0, len(out), 2):
                y, z = pixel(gradient, k, r, ZERO), pixel(gradient, min(k + 1, last), r, ZERO)
                w0 = w1 = w2 = w3 = w4 = v0 = v1 = v2 = v3 = v4 = zeros()
                for s in range(runs):
                    x0, x1, x2, x3, x4 = of[s, 0], of[s, 1], of[s, 2], of[s, 3], of[s, 4]
                    begin = 4 * s * length
                    for n in range(eights):
                        b = 32 * n
                        g, h = eight(y + begin + b), eight(z + begin + b)
                        a0, a1, a2 = eight(x0 + b), eight(x1 + b), eight(x2 + b)
                        w0, w1, w2 = fma(g, a0, w0), fma(g, a1, w1), fma(g, a2, w2)
                        v0, v1, v2 = fma(h, a0, v0), fma(h, a1, v1), fma(h, a2, v2)
                        a3, a4 = eight(x3 + b), eight(x4 + b)
                        w3, w4 = fma(g, a3, w3), fma(g, a4, w4)
                        v3, v4 = fma(h, a3, v3), fma(h, a4, v4)
                w5 = w6 = w7 = w8 = v5 = v6 = v7 = v8 = zeros()
                for s in range(runs):
                    x5, x6, x7, x8 = of[s, 5], of[s, 6], of[s, 7], of[s, 8]
                    begin = 4 * s * length
                    for n in range(eights):
                        b = 32 * n
                        g, h = eight(y + begin + b), eight(z + begin + b)
                        a5, a6 = eight(x5 + b), eight(x6 + b)
                        w5, w6 = fma(g, a5, w5), fma(g, a6, w6)
                        v5, v6 = fma(h, a5, v5), fma(h, a6, v6)
                        a7, a8 = eight(x7 + b), eight(x8 + b)
                        w7, w8 = fma(g, a7, w7), fma(g, a8, w8)
                        v7, v8 = fma(h, a7, v7), fma(h, a8, v8)
                place = found.ctypes.data
                put(place + 68, totals(v8, w8, v8, w8, v8, w8, v8, w8))
                found[8] = found[18]
                put(place + 36, totals(v0, v1, v2, v3, v4, v5, v6, v7))
                put(place, totals(w0, w1, w2, w3, w4, w5, w6, w7))
                for one in range(min(2, len(out) - k)):
                    if length % 8:
                        of_y = floats(z if one else y, 0, (length,))
                        for t in range(9):
                            of_x = floats(of[0, t], 0, (length,))
                            for n in range(8 * eights, length):
                                found[9 * one + t] = fma(of_y[n], of_x[n], found[9 * one + t])
                    w = floats(out.ctypes.data, 9 * ((k + one) * channels + c), (9,))
                    for t in range(9):
                        w[t] += found[9 * one + t]


@compiled
def join(met, batch, out):
    """Copy what lies at `met` [S, T], a `batch` each, to `out` [T, S·B], and say so in `met`."""
    for t in range(len(out)):
        for s in range(len(met)):
            images = floats(met[s, t], 0, (batch,))
            for b in range(batch):
                out[t, s * batch + b] = images[b]
        met[0, t] = out[t].ctypes.data


@compiled
def scatter(x, weight, bias, padding, out, after, start, stop):
    """The adjoint: `x` [C', R, S, B], `weight` [C', C, 3, 3] and `bias` [C]: `out` [C, H, W, B].

    Of a row of pixels, even and odd ones apart, all but the first and the last meet the same
    weights: from `start` to `stop` of the 5·H such runs that there are, with what comes `after`.
    """
    (channels, rows, cols, batch), width = x.shape, out.shape[2]
    places, weights = np.empty(4 * channels, np.int64), np.empty(4 * channels, np.int64)
    # Of a run where it begins and ends in x, and columns of weights; pixels of the last meet none.
    even = (0, 1, 0, 0), (1, cols, 0, 2), (cols, cols + 1, 2, 2)
    runs = (*even, (0, cols, 1, 1), (cols, cols + 1, 1, 0))
    for run in range(start, stop):
        h, (begin, end, first, last) = run // 5, runs[run % 5]
        count = 0
        for i in range((h + padding) % 2, 3, 2):
            r = (h + padding - i) // 2
            if 0 <= r < rows:
                for four in range(0, channels, 4):
                    for j in range(first, last + 1, 2):
                        for n in range(four, min(four + 4, channels)):
                            k = in_order(n, channels) if j == 2 else n
                            places[count] = pixel(x, k, r, begin - j // 2)
                            weights[count] = weight.ctypes.data + k * weight.strides[0]
                            weights[count] += 4 * (3 * i + j)
                            count += 1
        for s in range(begin, end):
            w = 2 * s + first % 2 - padding
            if 0 <= w < width:
                terms = Terms(places, weights, count, weight.strides[1])
                there, then = pixel(out, ZERO, h, w), at(after, h * width + w)
                weighted_sums(terms, bias, there, out.strides[0], batch, then)
            for n in range(count):
                places[n] += x.strides[2]


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
def scaling(dropped):
    """What keeps the mean where so many of LEVELS are dropped."""
    return LEVELS / (LEVELS - dropped) if dropped < LEVELS else 0.0


@compiled
def relu_vjp(gradient, y, dropped, out):
    """`out` = the `gradient` scaled where the output `y` is positive, else 0; of one length."""
    zero, scale = np.float32(0), np.float32(scaling(dropped))
    for n in range(len(y)):
        out[n] = gradient[n] * scale if y[n] > zero else zero


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
def sigmoid_vjp(gradient, y, out):
    """`out` = `gradient` · `y` (1 - `y`); of one length."""
    one = np.float32(1)
    for n in range(len(y)):
        out[n] = gradient[n] * (y[n] * (one - y[n]))


@compiled
def noisy(pixels, images, x, out, key, before, batch, normal, speckle, shares, mean, gaussian):
    """`out` = `x`, [P, B] each, with speckle, salt & pepper and Gaussian noise, each clipped.

    `normal` has a value for each level, the lower half mirrors the upper; `speckle` and `gaussian`
    are standard deviations, and so many `shares` of all levels are salt, and as many pepper. The
    images lie in a `batch`, so many `before` them. `key` is an address.
    """
    x, out = floats(x, 0, (pixels, images)), floats(out, 0, (pixels, images))
    zero, one, middle = x.dtype.type(0), x.dtype.type(1), len(normal) // 2
    speckle, gaussian, mean = x.dtype.type(speckle), x.dtype.type(gaussian), x.dtype.type(mean)
    drawn = levels(key_at(key, 0), 3 * x.shape[0] * batch).reshape(3, x.shape[0], batch)
    of_speckle, of_gaussian, upper = np.empty_like(x[0]), np.empty_like(x[0]), normal[middle:]
    for p in range(x.shape[0]):
        first, second, third = drawn[0, p, before:], drawn[1, p, before:], drawn[2, p, before:]
        for b in range(x.shape[1]):  # looked up apart, so that the rest becomes vector instructions
            of_speckle[b], of_gaussian[b] = upper[distance(first[b])], upper[distance(third[b])]
        for b in range(x.shape[1]):
            u = of_speckle[b] if first[b] >= 0 else -of_speckle[b]
            v = of_gaussian[b] if third[b] >= 0 else -of_gaussian[b]
            y = x[p, b] + x[p, b] * speckle * u
            level = second[b] + middle
            y = min(max(y, zero), one)
            y = zero if level < shares else y
            y = one if level >= len(normal) - shares else y
            y = y + mean + gaussian * v
            out[p, b] = min(max(y, zero), one)


@compiled
def distance(level):
    """How many levels lie between one and 0 or -1: as many quantiles from the median.

    These are as far from 0 on either side, and half of the table stays in the cache more easily.
    """
    return np.uint64(np.uint16(level ^ (level >> np.int16(15))))


@compiled
def sample(latents, images, mu, log_var, key, before, batch, normal, offset, out):
    """`out` = `mu` + `offset`, a draw from N(0, exp(`log_var`)); all [Z, B].

    `normal` has a value for each level. The images lie in a `batch`, so many `before` them. `key`
    is an address.
    """
    mu, log_var = floats(mu, 0, (latents, images)), floats(log_var, 0, (latents, images))
    offset, out = floats(offset, 0, (latents, images)), floats(out, 0, (latents, images))
    half, middle = np.float32(0.5), len(normal) // 2
    drawn = levels(key_at(key, 0), len(mu) * batch).reshape(len(mu), batch)
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
def pixels_batch_last(stored, pixels, count, images, index, out):
    """`out` [P, B] = the rows `index` [B] of `images` [N, P], / 255; uint8, int64 and float32.

    They are so many `stored` images of so many `pixels`, and a `count` of indices; all addresses.
    """
    images = carray(to_uint8(images), (stored, pixels))
    index, out = carray(to_int64(index), (count,)), floats(out, 0, (pixels, count))
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
def four_rows(x, index):
    """The rows of `x` at `index` [4]."""
    return x[index[0]], x[index[1]], x[index[2]], x[index[3]]


@compiled
def add_total(numbers, values, total):
    """Add so many `values` to `total`, of float64."""
    values, total = floats(values, 0, (numbers,)), carray(to_float64(total), (1,))
    for value in values:
        total[0] += value


@compiled
def note_positive(units, numbers, y, noted):
    """Note which rows of `y` [F, N] have a positive number, in `noted`, bool [F]; addresses."""
    y, noted, block = floats(y, 0, (units, numbers)), carray(to_uint8(noted), (units,)), 1024
    for f in range(units):
        for start in range(0, numbers, block):
            if noted[f]:
                break
            positive = False
            for value in y[f, start : start + block]:
                positive |= value > 0
            noted[f] = positive


@compiled
def sum_of_two(numbers, x, y, out):
    """`out` = `x` + `y`, of so many numbers."""
    x, y, out = floats(x, 0, numbers), floats(y, 0, numbers), floats(out, 0, numbers)
    for n in range(numbers):
        out[n] = x[n] + y[n]


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


@compiled
def lerp(numbers, values, to, share):
    """Move so many `values` a `share` of the way `to` others, as `torch.lerp` does."""
    values, to, share = floats(values, 0, numbers), floats(to, 0, numbers), np.float32(share)
    if share < np.float32(0.5):
        for n in range(numbers):
            values[n] = fma(share, to[n] - values[n], values[n])
    else:
        back = share - np.float32(1)
        for n in range(numbers):
            values[n] = fma(back, to[n] - values[n], to[n])


def pointer_to(kind):
    """Compiled code that takes an address, int64, as that of numbers or records of a kind."""

    @intrinsic
    def pointer(typing, address):
        def code(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), code

    return pointer


to_float32, to_float64 = pointer_to(types.float32), pointer_to(types.float64)
to_int16, to_int64 = pointer_to(types.int16), pointer_to(types.int64)
to_uint8, to_uint32 = pointer_to(types.uint8), pointer_to(types.uint32)
to_step, to_task = pointer_to(numba.from_dtype(STEP)), pointer_to(numba.from_dtype(TASK))


@compiled
def floats(address, start, shape):
    """The float32 numbers of this shape from the `start`-th behind an address on.

    A tensor's address takes an eighth of the time of a NumPy array over its memory.
    """
    return carray(to_float32(address + 4 * start), shape)


@compiled
def levels_at(address, count):
    """So many levels, int16, from an address on."""
    return carray(to_int16(address), (count,))


@compiled
def key_at(address, n):
    """The `n`-th key, two uint32, from an address on."""
    return carray(to_uint32(address + 8 * n), (2,))


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

    These and the parameters, in one row, are addresses of float32. Dropout draws from those at the
    address `keys`, one for each step that drops. The images lie in a `batch`, so many `before`
    them. `team` is the address of what so many `threads` share, this one and those that `serve`.
    """
    task = task_at(team)
    task.images, task.x, task.parameters, task.memory = images, x, parameters, memory
    task.out, task.table, task.work = out, table.ctypes.data, FORWARDS
    task.before, task.batch = before, batch
    # Read by their addresses, and written by the next turn, which keeps them alive in this one.
    scale, drawn, layer = np.empty(LANES, np.float32), np.empty(0, np.int16), 0
    for n in range(len(table)):
        step = table[n]
        if step.dropped:
            drawn = levels(key_at(keys, layer), step.units * batch)
            layer += 1
        scale[:] = scaling(step.dropped)
        task.step, task.scale, task.levels = n, scale.ctypes.data, drawn.ctypes.data
        share_out(team, parts(step, images, threads))


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
    scale = np.empty(LANES, np.float32)  # alive as in `forwards`
    for n in range(len(table) - 1, -1, -1):
        step = table[n]
        scale[:] = scaling(step.dropped_before)
        task.step, task.scale = n, scale.ctypes.data
        if step.y == OUTPUT and step.relu:
            task.work = LAST_RELU
            share_out(team, parts(step, images, threads))
        task.work = BACKWARDS
        share_out(team, parts(step, images, threads))


@compiled
def parts(step, images, threads):
    """In how many parts the team does a step; a small one is done sooner than it is divided."""
    size = step.out_channels * step.out_rows * step.out_cols * images
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
        elif task.work == LAST_RELU:
            last_relu_part(task, step, part, count)
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
    after = after_sums(task, step)
    if step.kind == LINEAR:
        weight, bias = linear(step, task.parameters)
        a, b = bounds(len(weight), part, count)
        first, strides, then = weight[a:b].ctypes.data, weight.strides, at(after, a)
        product(first, strides, columns(x), bias[a:b], columns(y)[a:b], then)
    elif step.kind == CONV:
        weight, bias = convolution(step, task.parameters)
        a, b = bounds(step.out_rows * step.out_cols, part, count)
        correlate(x, weight, bias, step.padding, y, after, a, b)
    elif step.kind == CONV_TRANSPOSE:
        weight, bias = transposed(step, task.parameters)
        a, b = bounds(5 * step.out_rows, part, count)
        scatter(x, weight, bias, step.padding, y, after, a, b)
    elif step.kind == SIGMOID:
        a, b = bounds(y.size, part, count)
        sigmoid(y.ravel()[a:b])


@compiled
def after_sums(task, step):
    """What comes after the sums of a step forwards, as `finish` reads it.

    A unit is dropped where its level is one of the `dropped` lowest, else scaled up to make good.
    """
    how = DROPPED if step.dropped else RECTIFIED if step.relu else AS_THEY_ARE
    positions = step.out_rows * step.out_cols
    elements = step.out_channels * positions // max(step.units, 1)
    drawn, least = task.levels + 2 * task.before, step.dropped - LEVELS // 2
    return After(how, 0, task.scale, drawn, least, 2 * task.batch, elements, positions, 0)


@compiled
def after_sums_back(task, step, x, to_x):
    """What comes after the sums of a step on the way back: the ReLU before it."""
    how = BACK if step.relu_before else AS_THEY_ARE
    distance = int64(x.ctypes.data - to_x.ctypes.data)
    return After(how, distance, task.scale, 0, 0, 0, 1, 1, 0)


@compiled
def backwards_part(task, step, part, count):
    """`do_part` of `backwards`."""
    x = before_it(step, step.x, task.images, task.x, task.memory, task.out)
    y = after_it(step, step.y, task.images, task.x, task.memory, task.out)
    of_y = after_it(step, step.of_y, task.images, task.of_x, task.of_memory, task.of_out)
    to_x = before_it(step, step.of_x, task.images, task.of_x, task.of_memory, task.of_out)
    wanted = task.of_x != 0 or step.x != INPUT
    nothing = np.zeros(step.channels, np.float32)  # for a bias, which the way back has none of
    after = after_sums_back(task, step, x, to_x)
    if step.kind == LINEAR:
        weight, _ = linear(step, task.parameters)
        of_weight, of_bias = linear(step, task.gradients)
        a, b = bounds(len(weight), part, count)
        outer_products(columns(of_y)[a:b], columns(x), of_weight[a:b])
        sums(columns(of_y)[a:b], of_bias[a:b])
        if wanted:
            a, b = bounds(step.channels, part, count)
            first, strides = weight.T[a:b].ctypes.data, weight.T.strides
            product(first, strides, columns(of_y), nothing[a:b], columns(to_x)[a:b], after)
    elif step.kind == CONV:
        weight, _ = convolution(step, task.parameters)
        of_weight, of_bias = convolution(step, task.gradients)
        a, b = bounds_of_pairs(len(y), part, count)
        weight_gradient(x, of_y[a:b], step.padding, of_weight[a:b])
        sums(of_y.reshape(len(of_y), of_y[0].size)[a:b], of_bias[a:b])
        if wanted:
            a, b = bounds(5 * step.rows, part, count)
            scatter(of_y, weight, nothing, step.padding, to_x, after, a, b)
    elif step.kind == CONV_TRANSPOSE:
        weight, _ = transposed(step, task.parameters)
        of_weight, of_bias = transposed(step, task.gradients)
        a, b = bounds_of_pairs(len(x), part, count)
        weight_gradient(of_y, x[a:b], step.padding, of_weight[a:b])
        if wanted:
            a, b = bounds(step.rows * step.cols, part, count)
            correlate(of_y, weight, nothing, step.padding, to_x, after, a, b)
        a, b = bounds(len(y), part, count)
        sums(of_y.reshape(len(of_y), of_y[0].size)[a:b], of_bias[a:b])
    elif step.kind == SIGMOID:
        a, b = bounds(y.size, part, count)
        behind = floats(task.given, 0, y.shape) if step.y == OUTPUT else of_y
        sigmoid_vjp(behind.ravel()[a:b], y.ravel()[a:b], of_y.ravel()[a:b])


@compiled
def last_relu_part(task, step, part, count):
    """`do_part` of the ReLU, and the dropout, that a chain ends with, on the way back."""
    size = step.out_channels * step.out_rows * step.out_cols * task.images
    a, b = bounds(size, part, count)
    y, of_y = floats(task.out, a, (b - a,)), floats(task.of_out, a, (b - a,))
    relu_vjp(floats(task.given, a, (b - a,)), y, step.dropped, of_y)


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


# Vectors, for sums whose order is to be the same however long a processor's vectors are: of eight
# numbers, added up lane by lane, and of LANES, each of which is a sum of its own.


class Vector(types.Type):
    """So many float32."""

    def __init__(self, lanes: int) -> None:
        super().__init__(f"vector of {lanes} float32")
        self.lanes = lanes


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), kind.lanes))


EIGHT, WIDE = Vector(8), Vector(LANES)


def loader(kind):
    """Compiled code that reads numbers of float32 that follow each other at an address."""

    @intrinsic
    def vector(typing, address):
        def code(context, builder, signature, arguments):
            numbers = context.get_value_type(signature.return_type).as_pointer()
            read = builder.load(builder.inttoptr(arguments[0], numbers))
            read.align = 4
            return read

        return kind(types.int64), code

    return vector


eight, wide = loader(EIGHT), loader(WIDE)


@intrinsic
def put(typing, address, numbers):
    """Write a vector to an address."""

    def code(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], arguments[1].type.as_pointer())
        builder.store(arguments[1], place).align = 4
        return context.get_dummy_value()

    return types.void(types.int64, numbers), code


@intrinsic
def zeros(typing):
    """Eight of them."""

    def code(context, builder, signature, arguments):
        return ir.Constant(context.get_value_type(signature.return_type), None)

    return EIGHT(), code


@intrinsic
def spread(typing, address):
    """The number at an address in all lanes."""

    def code(context, builder, signature, arguments):
        vector = context.get_value_type(signature.return_type)
        number = builder.load(builder.inttoptr(arguments[0], vector.element.as_pointer()))
        number.align = 4
        nothing = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
        return shuffled(builder, first, nothing, [0] * vector.count)

    return WIDE(types.int64), code


@intrinsic
def fma(typing, x, y, z):
    """`x` · `y` + `z`, rounded once; numbers or vectors of one kind."""

    def code(context, builder, signature, arguments):
        kind = arguments[0].type
        lanes = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        of_three = ir.FunctionType(kind, [kind] * 3)
        return builder.call(
            builder.module.declare_intrinsic(f"llvm.fma.{lanes}", (), of_three), arguments
        )

    return x(x, x, x), code


@intrinsic
def plus(typing, x, y):
    """`x` + `y`, of vectors."""

    def code(context, builder, signature, arguments):
        return builder.fadd(*arguments)

    return x(x, y), code


@intrinsic
def times(typing, x, y):
    """`x` · `y`, of vectors."""

    def code(context, builder, signature, arguments):
        return builder.fmul(*arguments)

    return x(x, y), code


@intrinsic
def rectified(typing, x):
    """Of a vector what is negative as 0."""

    def code(context, builder, signature, arguments):
        nothing = ir.Constant(arguments[0].type, None)
        negative = builder.fcmp_ordered(">", nothing, arguments[0])
        return builder.select(negative, nothing, arguments[0])

    return x(x), code


@intrinsic
def where_positive(typing, x, y):
    """`y` where `x` is positive, else 0; of vectors."""

    def code(context, builder, signature, arguments):
        nothing = ir.Constant(arguments[0].type, None)
        positive = builder.fcmp_ordered(">", arguments[0], nothing)
        return builder.select(positive, arguments[1], nothing)

    return y(x, y), code


@intrinsic
def where_level(typing, drawn, least, x):
    """`x` where the level at an address, and each behind it, is at the `least` so high, else 0."""

    def code(context, builder, signature, arguments):
        place, least, x = arguments
        kind = ir.VectorType(ir.IntType(16), x.type.count)
        levels = builder.load(builder.inttoptr(place, kind.as_pointer()))
        levels.align = 2
        nothing, first = ir.Constant(kind, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        least = builder.insert_element(nothing, builder.trunc(least, kind.element), first)
        least = shuffled(builder, least, nothing, [0] * kind.count)
        kept = builder.icmp_signed(">=", levels, least)
        return builder.select(kept, x, ir.Constant(x.type, None))

    return x(drawn, types.int64, x), code


@intrinsic
def totals(typing, v0, v1, v2, v3, v4, v5, v6, v7):
    """The sums of eight vectors of eight: of each lanes n and n + 4, of these n and n + 2, ..."""

    def code(context, builder, signature, arguments):
        vectors = list(arguments)
        for lanes in (4, 2, 1):
            low = [
                n + k
                for n in range(0, 8, 2 * lanes)
                for half in (0, 8)
                for k in range(half, half + lanes)
            ]
            high = [n + lanes for n in low]
            pairs = zip(vectors[: len(vectors) // 2], vectors[len(vectors) // 2 :], strict=True)
            vectors = [
                builder.fadd(shuffled(builder, a, b, low), shuffled(builder, a, b, high))
                for a, b in pairs
            ]
        return vectors[0]

    return EIGHT(*[EIGHT] * 8), code


def shuffled(builder, a, b, order):
    """The lanes of two vectors, those of `b` behind those of `a`, in an order."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(a, b, lanes)


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
