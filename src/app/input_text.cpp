#include "app/input_text.hpp"

#include <boost/program_options/value_semantic.hpp>
#include <charconv>
#include <fstream>
#include <sstream>

#include "shoal/error.hpp"

namespace shoal::app {

std::string read_text_file(const std::string& path, const std::string& option) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || file.bad())
    throw UsageError("cannot read '" + path + "' (it does not exist or is not readable) check --" + option);
  return text.str();
}

std::string TextInput::read() const {
  if (text.has_value() == !file.empty())
    throw UsageError(text ? "both --text and --file (only one text is read) give one"
                          : "no text (neither --text nor --file is given) give --text TEXT");
  return text ? *text : read_text_file(file, "file");
}

void add_text_options(OptionSet* set, TextInput* target) {
  namespace po = boost::program_options;
  set->shown.add_options()(
      "text",
      po::value<std::string>()->notifier([target](const std::string& v) { target->text = v; })->value_name("TEXT"),
      "the text")("file", po::value(&target->file)->value_name("FILE"), "read the text from a file");
}

std::vector<TokenId> parse_ids(const std::string& list, int vocabulary_size, const std::string& option) {
  std::vector<TokenId> ids;
  std::istringstream in(list);
  for (std::string entry; std::getline(in, entry, ',');) {
    const std::size_t begin = entry.find_first_not_of(' ');
    const std::size_t end = entry.find_last_not_of(' ') + 1;
    int value = -1;
    const char* first = entry.data() + (begin == std::string::npos ? 0 : begin);
    const char* last = entry.data() + end;
    const auto [stop, error] = std::from_chars(first, last, value);
    if (error != std::errc{} || stop != last || value < 0 || value >= vocabulary_size)
      throw UsageError("bad --" + option + " entry '" + entry + "' (not a token id) give ids from 0 to " +
                       std::to_string(vocabulary_size - 1) + " separated by commas");
    ids.emplace_back(value);
  }
  return ids;
}

}  // namespace shoal::app
