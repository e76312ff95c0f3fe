// Segment: a part of a text on its way to token ids.
#pragma once

#include <optional>
#include <string>

#include "shoal/ids.hpp"

namespace shoal::text {

/// An added token, or text still to be encoded.
struct Segment {
  std::optional<TokenId> token;
  std::string text;
  bool at_start = false;  ///< begins where the whole text begins: what Metaspace's prepend_scheme "first" asks
};

}  // namespace shoal::text
