#include "lm/cuda/draws.hpp"

#include <cmath>
#include <utility>

#include "lm/cuda/launches.hpp"

namespace shoal::lm::cuda {
namespace {

/// Masks kept on the GPU: 20 KB each for 150,000 tokens.
constexpr std::size_t most_masks = 4096;

void upload_bits(const TokenMask& mask, std::uint32_t* to, const Stream& stream) {
  copy_to_device(std::span(reinterpret_cast<const std::uint32_t*>(mask.bits.data()), 2 * mask.bits.size()), to, stream);
}

template <class T>
void make_room(std::size_t size, Array<T, Place::pinned>* list) {
  if (list->size() < size) *list = Array<T, Place::pinned>(size + size / 2);
}

}  // namespace

Draws::Draws(const Vocabulary& vocabulary, const Stream& stream)
    : vocabulary_(vocabulary),
      stream_(stream),
      words_(2 * vocabulary.text_tokens().bits.size()),
      bits_(most_masks * words_),
      real_(words_),
      ends_(vocabulary.end_tokens().size()) {
  upload_bits(vocabulary.text_tokens(), real_.data(), stream);
  std::vector<int> ends;
  for (const TokenId end : vocabulary.end_tokens()) ends.push_back(end.value());
  copy_to_device(std::span<const int>(ends), ends_.data(), stream);
  stream.wait();
}

const std::uint32_t* Draws::on_gpu(const std::shared_ptr<const TokenMask>& mask) {
  const auto [at, is_new] = masks_.try_emplace(mask, masks_.size());
  std::uint32_t* bits = bits_.data() + at->second * words_;
  if (is_new) upload_bits(*mask, bits, stream_);
  return bits;
}

void Draws::start(const float* logits, const Sampling& how, std::span<ContextDraws> draws) {
  upload(draws);
  launch(SampleTask{.logits = logits,
                    .vocabulary = vocabulary_.size(),
                    .real = real_.data(),
                    .allowed = allowed_.device(),
                    .end_allowed = end_allowed_.device(),
                    .end_tokens = ends_.data(),
                    .end_token_count = static_cast<int>(ends_.size()),
                    .inverse_temperature = static_cast<float>(1.0 / how.temperature),
                    .top_k = how.top_k,
                    .top_p = how.top_p,
                    .min_p = how.min_p,
                    .draws_begin = begin_.device(),
                    .uniforms = uniforms_.device(),
                    .log_mass = log_mass_.data(),
                    .log_end = log_end_.data(),
                    .tokens = tokens_.data()},
         static_cast<int>(draws.size()), stream_.get());
  started_ = draws;
}

void Draws::upload(std::span<const ContextDraws> draws) {
  if (masks_.size() + draws.size() > most_masks) masks_.clear();
  const std::size_t rows = draws.size();
  draw_count_ = 0;
  for (const ContextDraws& one : draws) draw_count_ += one.uniforms.size();
  allowed_.reserve(rows);
  end_allowed_.reserve(rows);
  begin_.reserve(rows + 1);
  uniforms_.reserve(draw_count_);
  make_room(draw_count_, &tokens_);
  make_room(rows, &log_mass_);
  make_room(rows, &log_end_);
  int next = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    allowed_.host(rows)[r] = on_gpu(draws[r].allowed);
    end_allowed_.host(rows)[r] = draws[r].allowed->end ? 1 : 0;
    begin_.host(rows + 1)[r] = next;
    for (const double u : draws[r].uniforms) uniforms_.host(draw_count_)[static_cast<std::size_t>(next++)] = u;
  }
  begin_.host(rows + 1)[rows] = next;
  allowed_.upload(rows, stream_);
  end_allowed_.upload(rows, stream_);
  begin_.upload(rows + 1, stream_);
  uniforms_.upload(draw_count_, stream_);
}

void Draws::finish() {
  const auto draws = std::exchange(started_, {});
  if (draws.empty()) return;
  stream_.wait();
  std::size_t next = 0;
  for (std::size_t r = 0; r < draws.size(); ++r) {
    ContextDraws& one = draws[r];
    one.log_mass = log_mass_.data()[r];
    one.log_end = log_end_.data()[r];
    one.tokens.clear();
    for (std::size_t d = 0; d < one.uniforms.size(); ++d) {
      const int token = tokens_.data()[next++];
      if (!std::isfinite(one.log_mass)) continue;
      one.tokens.push_back(token == vocabulary_.size() ? std::nullopt : std::optional(TokenId{token}));
    }
  }
}

}  // namespace shoal::lm::cuda
