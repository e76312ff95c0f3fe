// The job file of `shoal sweep`: which runs there are, as names and values of options. Pure text; what the options mean
// is checked elsewhere.
//   particles = 50             common to all runs; an option that may be repeated is given once per line
//   [grid]                     every combination of the values
//   seed = 1..20
//   resampling = systematic, multinomial
//   [case sequential]          options that belong together; several [WORD NAME] sections of one WORD are alternatives,
//   workers = 1                crossed with the grid and with the sections of other words
//   [case parallel]
//   workers = 4
// In sections a value is a comma list, as in CSV: "a, b" is one value that holds a comma, "" a double quote inside it.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shoal::app {

using NamedValue = std::pair<std::string, std::string>;

/// One run.
struct SweepCell {
  std::vector<NamedValue> labels;   ///< (WORD, NAME) of its sections, in the order of the words' first appearance
  std::vector<NamedValue> options;  ///< in the file's order; a section's value replaces the common one
};

struct SweepGrid {
  std::vector<std::string> words;   ///< of [WORD NAME] sections
  std::vector<std::string> varied;  ///< options with several values in some section
  std::vector<SweepCell> cells;     ///< sections vary slowest, then the grid, its last line fastest
};

/// @param name of the file, for messages
/// @throws UsageError naming the line
SweepGrid parse_sweep_file(const std::string& text, const std::string& name);

/// The values of a comma list; A..B stands for the integers from A to B.
/// @throws UsageError
std::vector<std::string> parse_value_list(const std::string& text);

}  // namespace shoal::app
