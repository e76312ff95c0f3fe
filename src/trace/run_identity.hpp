// What the result of a run depends on, by the names that the user knows. Two runs of one identity give the same bits.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shoal::trace {

/// (name, value), such as ("--particles", "50").
using RunIdentity = std::vector<std::pair<std::string, std::string>>;

/// 16 hexadecimal digits that differ between identities.
std::string fingerprint(const RunIdentity& identity);

/// @throws UsageError naming the first entry of @p ours that is missing or different in @p theirs, the identity in the
///         checkpoint @p path
void require_same_run(const RunIdentity& ours, const RunIdentity& theirs, const std::string& path);

}  // namespace shoal::trace
