// TransformerTree: the contexts that one rank's particles stand on, with their key/value blocks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lm/block_pool.hpp"
#include "lm/token_tree.hpp"
#include "lm/transformer.hpp"
#include "shoal/language_model.hpp"

namespace shoal::lm {

class TransformerTree : public ContextTree {
 public:
  /// Prefills @p prompt, which must not be empty. @p transformer must outlive the tree.
  /// @param can_sample what its prepare_sampling() said @param most_blocks that will be live, 0 if that is not known
  TransformerTree(const Transformer& transformer, std::span<const TokenId> prompt, bool can_sample = false,
                  std::size_t most_blocks = 0);

  [[nodiscard]] ContextId root() const override { return root_; }
  ContextId extend(ContextId parent, TokenId token) override;
  void retain(ContextId context) override { nodes_.retain(context); }
  void release(ContextId context) override;
  void forward(std::span<const ContextId> contexts, std::span<float> logits) override;
  [[nodiscard]] bool can_sample() const override { return can_sample_; }
  void start_sampling(const Sampling& how, std::span<ContextDraws> draws) override;
  void finish_sampling() override { transformer_.finish_sampling(); }
  /// Looks at every live context: O(contexts * tokens that they share with the new one).
  ContextId insert(std::span<const TokenId> tokens) override { return expect(tokens, 0).context; }
  [[nodiscard]] std::uint32_t computed(ContextId context) const override;
  ExpectedContext expect(std::span<const TokenId> tokens, std::uint32_t computed) override;
  [[nodiscard]] std::string pack(ContextId context, std::uint32_t first_block, std::uint32_t computed) const override;
  void unpack(const ExpectedContext& expected, std::string_view packed) override;
  [[nodiscard]] std::vector<std::span<std::byte>> blocks(ContextId context, std::uint32_t first_block,
                                                         std::uint32_t computed) override;
  [[nodiscard]] std::size_t live_contexts() const override { return nodes_.size(); }
  [[nodiscard]] std::size_t live_blocks() const override { return pool_.live(); }
  [[nodiscard]] const ForwardSeconds& seconds() const { return buffers_.seconds; }

 private:
  /// Keys and values of a context's first positions.
  struct KeyValues {
    std::vector<BlockId> table;  ///< each entry is one reference, but for those that no token will see again
    std::size_t passed = 0;      ///< how many those are
    int computed = 0;            ///< positions
  };
  using Nodes = TokenTree<KeyValues>;

  [[nodiscard]] KeyValues share(const KeyValues& from);
  [[nodiscard]] KeyValues share_beginning(std::span<const TokenId> tokens);
  void make_room_from_elsewhere(KeyValues* kv, int computed);
  void make_room(KeyValues* kv, int position);
  [[nodiscard]] std::size_t passed_by(int computed) const;
  void release_passed(KeyValues* kv, std::size_t passed);
  void release_passed(ContextId context);
  [[nodiscard]] int reach(const KeyValues& kv) const;
  void add_rows(Nodes::Node* node, Logits last, std::vector<TokenRow>* rows);
  void compute_next(std::span<const ContextId> contexts);
  void bring_within_reach(std::span<const ContextId> contexts);

  const Transformer& transformer_;
  BlockPool pool_;
  Nodes nodes_;
  ForwardBuffers buffers_;
  ContextId root_;
  std::size_t prompt_size_;
  int sight_;  ///< positions that a token sees in the layers where it sees most
  bool can_sample_;
};

}  // namespace shoal::lm
