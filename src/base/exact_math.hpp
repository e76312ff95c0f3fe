// exp and log with the same bits on every machine: plain IEEE operations in a fixed order, compiled without
// contraction. (The C library's versions differ between processors: ifunc, FMA.) Error below 2 ulp over the normal
// range.
#pragma once

#include <span>

namespace shoal {

/// exp(x); 0 for x < -745, inf for x > 709.78.
double exact_exp(double x);
/// ln(x) for x > 0; -inf at 0; NaN below.
double exact_log(double x);
/// ln(sum exp(x)) over the entries in index order; -inf for an empty span or all -inf, NaN if there is one.
double exact_log_sum_exp(std::span<const double> x);

}  // namespace shoal
