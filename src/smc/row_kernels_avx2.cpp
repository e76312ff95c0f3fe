#include "smc/row_kernels_body.hpp"

namespace shoal::smc {

const RowKernels& avx2_row_kernels() { return this_table; }

}  // namespace shoal::smc
