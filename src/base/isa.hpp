// Isa: the instruction set that code is chosen for at run time. Matrix products have other bits on another one: where
// the processors of a job differ, all must be held to one that they all have.
#pragma once

#include <array>
#include <string>

namespace shoal {

/// Each has those before it. baseline: what the compiler assumes of any processor (SSE2 on x86-64).
/// amx: Intel's tiles, for bf16 and 8 bits.
enum class Isa { baseline, avx2, avx512, avx512_vnni, avx512_bf16, amx };
inline constexpr std::array all_isas{Isa::baseline,    Isa::avx2,        Isa::avx512,
                                     Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx};

std::string name_of(Isa isa);
/// @throws UsageError that lists the names, and auto, if there is none such
Isa isa_named(const std::string& name);
/// The best that this processor has, and the system lets this process use.
Isa processor_isa();
/// The one in use: processor_isa(), unless another has been forced.
Isa used_isa();
/// To be called before a model is loaded: those that are keep what they have begun with.
/// @throws UsageError if it is better than processor_isa()
void force_isa(Isa isa);

}  // namespace shoal
