// Draws: the last step of a pass that keeps its logits on the GPU.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "lm/cuda/memory.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm::cuda {

class Draws {
 public:
  /// @param vocabulary outlives this object
  Draws(const Vocabulary& vocabulary, const Stream& stream);
  /// Starts to draw from rows of @p logits, [draws.size(), vocabulary size], on the GPU. What was started before must
  /// be finished.
  void start(const float* logits, const Sampling& how, std::span<ContextDraws> draws);
  /// Waits for the results and puts them where start() was told; nothing if nothing was started.
  void finish();

 private:
  const std::uint32_t* on_gpu(const std::shared_ptr<const TokenMask>& mask);
  void upload(std::span<const ContextDraws> draws);

  const Vocabulary& vocabulary_;
  const Stream& stream_;
  /// Masks by the place they have in bits_; kept, so that their addresses stay theirs.
  std::unordered_map<std::shared_ptr<const TokenMask>, std::size_t> masks_;
  std::size_t words_;  ///< of a mask
  Array<std::uint32_t> bits_, real_;
  Array<int> ends_;
  StepList<const std::uint32_t*> allowed_;
  StepList<std::uint8_t> end_allowed_;
  StepList<int> begin_;
  StepList<double> uniforms_;
  Array<int, Place::pinned> tokens_;  ///< results, which the GPU writes into the host's memory
  Array<double, Place::pinned> log_mass_, log_end_;
  std::size_t draw_count_ = 0;
  std::span<ContextDraws> started_;
};

}  // namespace shoal::lm::cuda
