#include "lm/cpu/panel_division.hpp"

#include "base/assert.hpp"

namespace shoal::lm::cpu {
namespace {

/// Panels of a worker that are not dealt out bit by bit.
constexpr std::size_t longest_share = 64;

std::size_t quotient_rounded_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// Those that take the fewest rounds, weighted by their length; of equal ones the fewest, which read the panel least.
std::size_t best_parts(std::size_t panels, std::size_t extent, std::size_t most, std::size_t workers) {
  const auto time = [&](std::size_t parts) {
    return quotient_rounded_up(panels * parts, workers) * quotient_rounded_up(extent, parts);
  };
  std::size_t best = 1;
  for (std::size_t parts = 2; parts <= most; ++parts)
    if (time(parts) < time(best)) best = parts;
  return best;
}

}  // namespace

PanelDivision::PanelDivision(std::size_t panels, int extent, int least, std::size_t workers)
    : extent_(static_cast<std::size_t>(extent)),
      workers_(workers),
      share_(panels / workers),
      rounds_(share_ == 0               ? 0
              : share_ <= longest_share ? 1
                                        : 8),
      divided_(panels % workers),
      parts_(best_parts(divided_, extent_, extent_ / static_cast<std::size_t>(least), workers)) {
  SHOAL_EXPECT(extent >= 1 && least >= 1 && workers >= 1);
}

PanelPiece PanelDivision::piece(std::size_t i) const {
  const std::size_t whole_pieces = rounds_ * workers_;
  if (i < whole_pieces) {
    const std::size_t round = i / workers_, begin = share_ * round / rounds_;
    const std::size_t panels = share_ * (round + 1) / rounds_ - begin;
    return {workers_ * begin + i % workers_ * panels, panels, 0, static_cast<int>(extent_)};
  }
  const std::size_t part = (i - whole_pieces) % parts_;
  return {workers_ * share_ + (i - whole_pieces) / parts_, 1, static_cast<int>(extent_ * part / parts_),
          static_cast<int>(extent_ * (part + 1) / parts_)};
}

}  // namespace shoal::lm::cpu
