// Where a checkpoint lies: a folder as given, the shipped model, or a snapshot in the local Hugging Face hub cache.
// Nothing is ever downloaded.
#pragma once

#include <filesystem>
#include <string>

namespace shoal::lm {

/// The folder that @p source names: a folder, `minnow`, or a hub id such as `Qwen/Qwen1.5-0.5B-Chat`, which is looked
/// up as the hub's own tools do: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub.
/// The shipped model is found beside the program, or where SHOAL_MINNOW says.
/// @throws ModelError, with the command that downloads it if a hub id is not in the cache
std::filesystem::path find_checkpoint(const std::string& source);

}  // namespace shoal::lm
