"""Scalar arithmetic written once: compiled for the CPU, compiled for CUDA, and run as plain Python, with the same bits.

Three rules keep the bits equal everywhere (contract C2). No product feeds a sum except through :func:`fma`, because
compilers contract ``a*b + c`` as they see fit. No transcendental of a library is used: ``exp``, ``expm1``, ``log``
and the inverse normal are polynomials and rationals over ``fma``, ``+``, ``*``, ``/`` and ``sqrt``, all of which IEEE
754 rounds in one way only. And nothing branches: both sides of a choice are computed and one is taken, so that a loop
over contiguous arrays becomes vector instructions.

Every literal is a typed constant: a bare ``1.0`` or ``1`` would promote single precision to double and 32 bits to 64.
How the coefficients were fitted and what error is left stands beside each table; all were rounded to the working
precision from a fit in 40 to 60 digits (iteratively reweighted least squares on Chebyshev nodes, which tends to the
minimax solution; for rationals with the denominator of the previous iteration as weight).

With ``NUMBA_DISABLE_JIT=1`` the very same functions run as plain Python on NumPy scalars; only :func:`fma` then has a
twin, :func:`exact_fma`.
"""

from riskops.scalar.double import (
    exp_f64,
    expm1_f64,
    log_f64,
    normal_quantile_f64,
    quantile_log_f64,
    quantile_of_log_f64,
)
from riskops.scalar.generic import exp, expm1, like, log
from riskops.scalar.primitives import (
    add_u32,
    bits_of_f32,
    bits_of_f64,
    exact_fma,
    f32_of_bits,
    f64_of_bits,
    fma,
    multiply_high_u32,
    scalar_function,
    sqrt,
)
from riskops.scalar.single import (
    exp_f32,
    expm1_f32,
    log_f32,
    normal_quantile_f32,
    quantile_log_f32,
    quantile_of_log_f32,
)

__all__ = [
    "add_u32",
    "bits_of_f32",
    "bits_of_f64",
    "exact_fma",
    "exp",
    "exp_f32",
    "exp_f64",
    "expm1",
    "expm1_f32",
    "expm1_f64",
    "f32_of_bits",
    "f64_of_bits",
    "fma",
    "like",
    "log",
    "log_f32",
    "log_f64",
    "multiply_high_u32",
    "normal_quantile_f32",
    "normal_quantile_f64",
    "quantile_log_f32",
    "quantile_log_f64",
    "quantile_of_log_f32",
    "quantile_of_log_f64",
    "scalar_function",
    "sqrt",
]
