// A tokenizer.json as large as those of known models, with random merges: what reading it costs depends on its size.
#pragma once

#include <filesystem>

namespace shoal::bench {

/// Byte-level BPE with the pattern of Qwen2 and at most @p tokens tokens.
void write_random_tokenizer(int tokens, const std::filesystem::path& file);

}  // namespace shoal::bench
