// Isa: the instruction set that code is chosen for at run time. Matrix products have other bits on another one: where
// the processors of a job differ, all must be held to one that they all have.
#pragma once

#include <array>
#include <string>

namespace shoal {

/// Each has those before it. baseline: what the compiler assumes of any processor (SSE2 on x86-64).
enum class Isa { baseline, avx2, avx512, avx512_vnni, avx512_bf16 };
inline constexpr std::array all_isas{Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16};

std::string name_of(Isa isa);
/// The best that this processor has.
Isa processor_isa();
/// The one in use: processor_isa(), unless another has been forced.
Isa used_isa();
/// To be called before a model is loaded: those that are keep what they have begun with.
/// @throws UsageError if the processor lacks it
void force_isa(Isa isa);

}  // namespace shoal
