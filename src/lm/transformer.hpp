// Transformer: a checkpoint's weights on a device, and the forward pass over rows of independent sequences whose keys
// and values lie in a BlockPool. The one seam that another kind of processor implements.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.hpp"
#include "lm/block_memory.hpp"
#include "lm/block_pool.hpp"
#include "lm/config.hpp"
#include "lm/safetensors.hpp"
#include "shoal/ids.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

enum class Logits { no, yes };

/// One token to compute. Its key and value are written to its place in the last block of @p table, and it attends to
/// the positions up to its own that the layer's window holds.
struct TokenRow {
  TokenId token;
  int position = 0;
  std::span<const BlockId> table;  ///< at least position / 16 + 1 blocks
  Logits logits = Logits::yes;
};

/// Wall-clock seconds that forward passes took, by kind of operation.
struct ForwardSeconds {
  double total = 0.0;
  double products = 0.0;   ///< of the layers' matrices
  double head = 0.0;       ///< product of the vocabulary's matrix
  double attention = 0.0;  ///< of queries to keys and values
};

/// Activations of one chunk of rows; kept between calls so that their memory is.
struct ForwardBuffers {
  AlignedVector<float> residual, projected, query_key_value, up;
  std::vector<float> cosines, sines;
  AlignedVector<std::byte> operand;  ///< in the type of the products' operands
  std::vector<const std::byte*> blocks;
  ForwardSeconds seconds;  ///< so far
};

class Transformer {
 public:
  virtual ~Transformer() = default;

  [[nodiscard]] virtual const TransformerConfig& config() const = 0;
  [[nodiscard]] virtual DType dtype() const = 0;
  [[nodiscard]] virtual std::uint64_t parameters() const = 0;
  [[nodiscard]] virtual std::uint64_t weight_bytes() const = 0;
  /// As users read it, e.g. cpu.
  [[nodiscard]] virtual std::string device() const = 0;
  /// Of 16 positions, all layers.
  [[nodiscard]] virtual std::size_t block_bytes() const = 0;
  /// For the blocks of one pool, which must not outlive this object.
  /// @param most bytes that they will take, 0 if that is not known
  [[nodiscard]] virtual std::unique_ptr<BlockMemory> block_memory(std::size_t most) const = 0;
  /// Bytes that blocks can still take.
  [[nodiscard]] virtual std::uint64_t free_block_bytes() const = 0;
  /// @p pool over this transformer's block_memory(). @p rows in an order in which a sequence's positions rise. @p
  /// logits: [rows that want them, vocabulary size].
  virtual void forward(std::span<const TokenRow> rows, BlockPool* pool, ForwardBuffers* buffers,
                       std::span<float> logits) const = 0;
  /// Whether it can sample; if so, @p vocabulary is what it draws from, and must outlive this object.
  [[nodiscard]] virtual bool prepare_sampling(const Vocabulary& /*vocabulary*/) { return false; }
  /// See ContextTree. @p draws has an entry per row that wants logits; @p rows are not needed any more afterwards.
  virtual void start_sampling(std::span<const TokenRow> /*rows*/, BlockPool* /*pool*/, const Sampling& /*how*/,
                              std::span<ContextDraws> /*draws*/) const {}
  virtual void finish_sampling() const {}
};

/// @param options dtype automatic: bf16 where the processor has instructions for it, else f32; int8: weights and the
///                products' operands in 8 bits, everything else as in bf16; from AVX2 on
///                kv_dtype int8: keys and values in 8 bits; with AVX-512 VNNI
/// @throws ModelError
std::unique_ptr<Transformer> load_cpu_transformer(const TransformerConfig& config,
                                                  std::shared_ptr<const Safetensors> weights,
                                                  const LoadOptions& options);

}  // namespace shoal::lm
