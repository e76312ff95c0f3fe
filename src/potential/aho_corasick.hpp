// Finds several strings at once, byte by byte, ASCII letters of either case alike (Aho & Corasick 1975).
// Failure links are folded into the moves, so that one byte costs one look-up.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace shoal {

class AhoCorasick {
 public:
  /// @param strings each of at least one byte
  /// @throws UsageError beyond 20 million moves: a megabyte of words or more
  explicit AhoCorasick(std::span<const std::string> strings);

  static constexpr std::int32_t start = 0;

  [[nodiscard]] int size() const { return static_cast<int>(found_.size()); }
  [[nodiscard]] int classes() const { return classes_; }
  [[nodiscard]] const std::array<std::uint8_t, 256>& byte_class() const { return byte_class_; }
  [[nodiscard]] std::int32_t step_class(std::int32_t state, int byte_class) const {
    return next_[static_cast<std::size_t>(state) * static_cast<std::size_t>(classes_) +
                 static_cast<std::size_t>(byte_class)];
  }
  [[nodiscard]] std::int32_t step(std::int32_t state, std::uint8_t byte) const {
    return step_class(state, byte_class_[byte]);
  }
  /// Indices of the strings that end where the automaton is in @p state.
  [[nodiscard]] std::span<const std::uint32_t> found(std::int32_t state) const {
    return found_[static_cast<std::size_t>(state)];
  }

 private:
  std::int32_t& move(std::int32_t state, std::uint8_t byte);
  void choose_classes(std::span<const std::string> strings);
  std::int32_t add_state();
  void add_string(const std::string& string, std::uint32_t number);
  void fold_failures();

  int classes_ = 0;
  std::array<std::uint8_t, 256> byte_class_{};
  std::vector<std::int32_t> next_;  ///< [state * classes_ + byte class]
  std::vector<std::vector<std::uint32_t>> found_;
};

}  // namespace shoal
