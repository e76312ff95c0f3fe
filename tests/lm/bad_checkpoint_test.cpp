// Weights that cannot be used: each is refused in one line that names the file or the tensor, and none crashes.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "bad_folder.hpp"
#include "base/parallel.hpp"

namespace shoal::lm {
namespace {

using nlohmann::json;

std::string header_of(const json& header) {
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text;
}

/// A safetensors file in its parts.
struct Parts {
  explicit Parts(const std::string& file) {
    std::uint64_t size = 0;
    std::memcpy(&size, file.data(), sizeof size);
    header = json::parse(file.substr(sizeof size, size));
    data = file.substr(sizeof size + size);
  }
  [[nodiscard]] std::string joined() const { return header_of(header) + data; }

  json header;
  std::string data;
};

class BadCheckpoint : public testing::Test {
 protected:
  static constexpr const char* file = "model.safetensors";
  const std::string norm = "model.norm.weight";

  [[nodiscard]] std::string refusal() const {
    return message_of([&] { (void)load(folder.path(), DType::f32); });
  }
  void expect_refusal(const std::string& part, const std::string& naming = file) const {
    const std::string line = refusal();
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_NE(line.find(naming), std::string::npos) << line;
  }
  void expect_refusal_of_header(const std::string& part, const std::function<void(json*)>& change) const {
    Parts parts = original;
    change(&parts.header);
    folder.write(file, parts.joined());
    expect_refusal(part);
  }

  BadFolder folder{"llama_grouped_f32"};
  Parts original{folder.read(file)};
};

TEST_F(BadCheckpoint, AFileCutAnywhereIsRefused) {
  const std::string whole = folder.read(file);
  const std::size_t header_end = whole.size() - original.data.size();
  std::vector<std::size_t> lengths = {0, 1, 7, 8, 9, 100, header_end - 1, header_end, header_end + 1, whole.size() - 1};
  for (const auto& [name, entry] : original.header.items())
    if (name != "__metadata__") lengths.push_back(header_end + entry["data_offsets"][0].get<std::size_t>());

  for (const std::size_t length : lengths) {
    folder.write(file, whole.substr(0, length));
    expect_refusal(std::string("cannot read ") + folder.path().string());
  }
}

TEST_F(BadCheckpoint, AHeaderLongerThanTheFileIsRefusedBeforeItIsRead) {
  for (const std::uint64_t size :
       {std::uint64_t{1} << 20U, std::uint64_t{1} << 40U, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    std::string whole = folder.read(file);
    std::memcpy(whole.data(), &size, sizeof size);
    folder.write(file, whole);
    expect_refusal("the header says " + std::to_string(size) + " bytes");
  }
}

TEST_F(BadCheckpoint, AHeaderThatIsNoJsonObjectIsRefused) {
  for (const std::string text : {"", "{", "not JSON", "{\"a\": 1e999}", "{\"a\": \"\xff\"}"}) {
    const std::uint64_t size = text.size();
    folder.write(file, std::string(reinterpret_cast<const char*>(&size), sizeof size) + text);
    expect_refusal("the header is not JSON");
  }
  folder.write(file, header_of(json::array()));
  expect_refusal("the header is not a JSON object");
  folder.write(file, header_of({{"x", 5}}));
  expect_refusal("tensor 'x' has no proper dtype");
}

TEST_F(BadCheckpoint, OffsetsThatLeaveTheFileOverlapOrLeaveGapsAreRefused) {
  const auto offsets = [&](json value) {
    return [this, value](json* header) { (*header)[norm]["data_offsets"] = value; };
  };
  const std::uint64_t end = original.data.size();
  expect_refusal_of_header("has bad offsets", offsets({256, 0}));
  expect_refusal_of_header("has bad offsets", offsets({0}));
  expect_refusal_of_header("ends at byte", offsets({end, end + 256}));
  expect_refusal_of_header("ends at byte", offsets({0, ~std::uint64_t{0}}));
  expect_refusal_of_header("overlap", offsets({0, 256}));
  expect_refusal_of_header("no proper dtype", offsets({-1, 255}));
  expect_refusal_of_header("no proper dtype", offsets({0.5, 256.5}));
  expect_refusal_of_header("no proper dtype", offsets("0-256"));
  expect_refusal_of_header("leave a gap", [&](json* header) { header->erase("model.layers.0.mlp.up_proj.weight"); });

  folder.write(file, original.joined() + "more");
  expect_refusal("left over");
}

TEST_F(BadCheckpoint, ShapesThatDoNotFitTheDataAreRefused) {
  const auto shape = [&](json value) { return [this, value](json* header) { (*header)[norm]["shape"] = value; }; };
  expect_refusal_of_header("of shape [63] has 256 bytes", shape({63}));
  expect_refusal_of_header("of shape [64, 2] has 256 bytes", shape({64, 2}));
  expect_refusal_of_header("has 256 bytes", shape({4294967296, 4294967296}));
  expect_refusal_of_header("has 256 bytes", shape({4611686018427387904, 4, 4, 4}));
  expect_refusal_of_header("has 256 bytes", shape(json::array()));
  expect_refusal_of_header("no proper dtype", shape({-64}));
  expect_refusal_of_header("no proper dtype", shape({64.0}));
  expect_refusal_of_header("no proper dtype", shape("64"));
}

TEST_F(BadCheckpoint, TensorsOfAnotherTypeShapeOrNameAreRefusedByName) {
  Parts parts = original;
  parts.header[norm]["dtype"] = "I32";
  folder.write(file, parts.joined());
  expect_refusal("is missing", norm);
  expect_refusal("F32, F16, BF16", folder.path().string());

  parts = original;
  parts.header[norm]["dtype"] = "BF16";
  folder.write(file, parts.joined());
  expect_refusal("of shape [64] has 256 bytes", norm);

  parts = original;
  parts.header[norm]["shape"] = {8, 8};
  folder.write(file, parts.joined());
  expect_refusal("has shape [8, 8] (config.json asks for [64])", norm);

  parts = original;
  parts.header["other"] = parts.header[norm];
  parts.header.erase(norm);
  folder.write(file, parts.joined());
  expect_refusal("is missing", norm);
}

TEST_F(BadCheckpoint, ATensorNameStaysOnOneLine) {
  folder.write(file, header_of({{"a\nb" + std::string(10000, 'x'), {{"dtype", "F32"}}}}));

  expect_refusal("'a\\nb");
}

TEST_F(BadCheckpoint, AConfigurationOfOtherWeightsIsRefused) {
  json config = json::parse(folder.read("config.json"));
  config["num_hidden_layers"] = 3;
  folder.write("config.json", config.dump());
  expect_refusal("model.layers.2.input_layernorm.weight is missing", folder.path().string());

  config["num_hidden_layers"] = 2;
  config["vocab_size"] = 1000;
  folder.write("config.json", config.dump());
  expect_refusal("has shape [176, 64] (config.json asks for [1000, 64])", "embed_tokens");

  config["hidden_size"] = 72;
  folder.write("config.json", config.dump());
  expect_refusal("width of 72 is not supported", "72");

  config["hidden_size"] = 64;
  config["head_dim"] = 512;
  folder.write("config.json", config.dump());
  expect_refusal("head dimension of 512 is not supported", "512");
}

TEST_F(BadCheckpoint, AFolderWithoutWeightsIsRefused) {
  std::filesystem::remove(folder.path() / file);
  expect_refusal("no weights in", folder.path().string());

  std::filesystem::create_directory(folder.path() / file);
  expect_refusal("not a regular file");
}

TEST(OddCheckpoint, TensorsAtOddAddressesAndOtherTensorsAreNoObstacle) {
  const BadFolder folder("llama_grouped_f32");
  Parts parts(folder.read("model.safetensors"));
  const std::size_t end = parts.data.size();
  parts.header["counts"] = {{"dtype", "I64"}, {"shape", {1}}, {"data_offsets", {end, end + 8}}};
  parts.header["empty"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {end + 8, end + 8}}};
  parts.header["__metadata__"] = {{"note", std::string(1, 'x')}};
  parts.data += std::string(8, '\0');
  std::string text = parts.header.dump();
  while (text.size() % 4 != 1) text += ' ';
  const std::uint64_t size = text.size();
  folder.write("model.safetensors", std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + parts.data);
  const auto odd = load(folder.path(), DType::f32), plain = load(fixture("llama_grouped_f32"), DType::f32);
  const auto prompt = random_tokens(20, 176, 1);
  TransformerTree odd_tree(*odd, prompt), plain_tree(*plain, prompt);

  EXPECT_EQ(logits_of(&odd_tree, {odd_tree.root()}, 176), logits_of(&plain_tree, {plain_tree.root()}, 176));
}

/// A copy of @p name whose tensors are called what @p rename makes of their names.
void rename_tensors(const BadFolder& folder, const std::function<std::string(const std::string&)>& rename) {
  Parts parts(folder.read("model.safetensors"));
  json renamed = json::object();
  for (const auto& [name, entry] : parts.header.items()) renamed[rename(name)] = entry;
  parts.header = renamed;
  folder.write("model.safetensors", parts.joined());
}

TEST(OddCheckpoint, Gpt2WithoutThePrefixIsTheSame) {
  const BadFolder folder("gpt2");
  const std::string prefix = "transformer.";
  rename_tensors(
      folder, [&](const std::string& name) { return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name; });
  const auto bare = load(folder.path(), DType::f32), plain = load(fixture("gpt2"), DType::f32);
  const auto prompt = random_tokens(20, 112, 1);
  TransformerTree bare_tree(*bare, prompt), plain_tree(*plain, prompt);

  EXPECT_EQ(logits_of(&bare_tree, {bare_tree.root()}, 112), logits_of(&plain_tree, {plain_tree.root()}, 112));
  EXPECT_EQ(bare->parameters(), plain->parameters());
}

TEST(OddCheckpoint, ATensorThatAFamilyNeedsIsNamed) {
  for (const auto& [name, tensor] : {std::pair{"qwen3_tied", "model.layers.1.self_attn.q_norm.weight"},
                                     {"phi_partial", "lm_head.bias"},
                                     {"phi_partial", "model.layers.0.mlp.fc1.bias"},
                                     {"gpt2", "transformer.wpe.weight"},
                                     {"gpt2", "transformer.h.1.attn.c_attn.weight"},
                                     {"gpt2", "transformer.ln_f.bias"},
                                     {"gemma3", "model.layers.1.post_feedforward_layernorm.weight"},
                                     {"gemma3", "model.layers.0.pre_feedforward_layernorm.weight"},
                                     {"olmo2", "model.layers.1.self_attn.k_norm.weight"},
                                     {"phi3_window", "model.layers.0.self_attn.qkv_proj.weight"},
                                     {"phi3_window", "model.layers.1.mlp.gate_up_proj.weight"},
                                     {"gpt_neox", "gpt_neox.layers.0.post_attention_layernorm.weight"},
                                     {"gpt_neox", "gpt_neox.layers.1.attention.query_key_value.bias"},
                                     {"gpt_neox", "embed_out.weight"}}) {
    const BadFolder folder(name);
    const std::string missing = tensor;
    rename_tensors(folder, [&](const std::string& found) { return found == missing ? "other" : found; });

    const std::string line = message_of([&] { (void)load(folder.path(), DType::f32); });

    EXPECT_NE(line.find(missing + " is missing"), std::string::npos) << line;
  }
}

class BadShards : public testing::Test {
 protected:
  static constexpr const char* index = "model.safetensors.index.json";
  static constexpr const char* first = "model-00001-of-00003.safetensors";

  void expect_refusal(const std::string& part, const std::string& naming = index) const {
    const std::string line = message_of([&] { (void)load(folder.path(), DType::f32); });
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_NE(line.find(naming), std::string::npos) << line;
  }
  BadFolder folder{"llama_sharded"};
};

TEST_F(BadShards, AMissingShardIsNamed) {
  std::filesystem::remove(folder.path() / first);

  expect_refusal(std::string("shard '") + first + "' is missing");
}

TEST_F(BadShards, ABrokenShardIsNamed) {
  folder.write(first, folder.read(first).substr(0, 5000));

  expect_refusal("truncated", first);
}

TEST_F(BadShards, ATensorInTwoShardsIsRefused) {
  json parsed = json::parse(folder.read(index));
  parsed["weight_map"]["copy"] = "copy.safetensors";
  folder.write(index, parsed.dump());
  folder.write("copy.safetensors", folder.read(first));

  expect_refusal("is in another file too", first);
}

TEST_F(BadShards, ABrokenIndexIsRefused) {
  for (const std::string text : {"", "{", "[]", "{}", R"({"weight_map": 5})", R"({"weight_map": {"a": 5}})"}) {
    folder.write(index, text);
    expect_refusal(index);
  }
}

TEST_F(BadShards, AnIndexThatLeadsOutOfTheFolderIsRefused) {
  for (const std::string name : {"../model.safetensors", "/etc/passwd", "a/b", "..", ".", "", "a\\nb/"}) {
    folder.write(index, R"({"weight_map": {"a": ")" + name + R"("}})");
    expect_refusal("is not a plain file name");
  }
}

/// Seconds of the mutation test; more by hand: SHOAL_FUZZ_SECONDS=600.
double fuzz_seconds() {
  const char* value = std::getenv("SHOAL_FUZZ_SECONDS");
  return value != nullptr ? std::atof(value) : 2.0;
}

std::string mutated(std::string text, std::size_t begin, std::size_t end, std::mt19937_64* generator) {
  const std::string telling = "0123456789-.eE{}[]\",:\\\n\xff";
  for (std::uint64_t changes = 1 + (*generator)() % 4; changes > 0 && begin < end; --changes) {
    const std::size_t at = begin + (*generator)() % (end - begin);
    switch ((*generator)() % 4) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << (*generator)() % 8));
        break;
      case 1:
        text[at] = telling[(*generator)() % telling.size()];
        break;
      case 2:
        text.insert(at, 1, telling[(*generator)() % telling.size()]);
        break;
      default:
        text.erase(at, 1);
        --end;
        break;
    }
  }
  return text;
}

TEST(CheckpointFuzz, ChangedBytesAreRefusedOrHarmless) {
  set_worker_threads(1);
  std::mt19937_64 generator(20261124);
  const BadFolder folder("llama_sharded");
  const std::string shard = "model-00002-of-00003.safetensors", index = "model.safetensors.index.json";
  const std::string weights = folder.read(shard), config = folder.read("config.json"), map = folder.read(index);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, weights.data(), sizeof header_size);
  const auto start = std::chrono::steady_clock::now();
  int refused = 0, loaded = 0;
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < fuzz_seconds()) {
    const std::uint64_t kind = generator() % 3;
    folder.write("config.json", kind == 0 ? mutated(config, 0, config.size(), &generator) : config);
    folder.write(shard, kind == 1 ? mutated(weights, 0, 8 + header_size, &generator) : weights);
    folder.write(index, kind == 2 ? mutated(map, 0, map.size(), &generator) : map);
    const std::string line = message_of([&] {
      const auto transformer = load(folder.path(), DType::f32);
      const auto& c = transformer->config();
      TransformerTree tree(*transformer, random_tokens(20, c.vocabulary_size, 1));
      (void)logits_of(&tree, {tree.root()}, c.vocabulary_size);
    });
    ++(line == "accepted" ? loaded : refused);
  }
  EXPECT_GT(refused, 10);
  EXPECT_GT(loaded, 0);
  std::cout << refused << " refused, " << loaded << " loaded\n";
}

}  // namespace
}  // namespace shoal::lm
