// Column: what a dataset holds.
#pragma once

namespace shoal::trace {

struct Column {
  const char* name;
  const char* units;
  const char* meaning;
};

}  // namespace shoal::trace
