#include "text/chat_template.hpp"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "shoal/error.hpp"
#include "text/template_functions.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Scope = std::unordered_map<std::string, Value>;

/// The template called raise_exception(message).
struct Raised {
  std::string message;
};

class Renderer {
 public:
  explicit Renderer(const Value& variables) {
    scopes_.emplace_back();
    for (const auto& [name, value] : variables.items()) scopes_.back()[name] = value;
  }

  std::string run(const std::vector<Statement>& program) {
    for (const Statement& statement : program) execute(statement);
    return std::move(out_);
  }

 private:
  void execute_all(const std::vector<Statement>& body) {
    for (const Statement& statement : body) execute(statement);
  }

  void execute(const Statement& statement) {
    switch (statement.kind) {
      case Statement::Kind::text:
        out_ += statement.text;
        return;
      case Statement::Kind::output:
        out_ += to_text(evaluate(statement.expression));
        return;
      case Statement::Kind::conditional:
        return choose(statement);
      case Statement::Kind::loop:
        return loop(statement);
      case Statement::Kind::assign:
        return assign(statement, evaluate(statement.expression));
      case Statement::Kind::capture:
        return capture(statement);
    }
  }

  void choose(const Statement& statement) {
    for (const auto& branch : statement.branches) {
      if (is_true(evaluate(branch.condition))) return execute_all(branch.body);
    }
    execute_all(statement.otherwise);
  }

  void assign(const Statement& statement, Value value) {
    if (statement.attribute.empty()) {
      scopes_.back()[statement.text] = std::move(value);
      return;
    }
    Value* target = find(statement.text);
    if (target == nullptr || !target->is_object()) throw TemplateError("'" + statement.text + "' is not a namespace");
    (*target)[statement.attribute] = std::move(value);
  }

  void capture(const Statement& statement) {
    std::string outer = std::move(out_);
    out_.clear();
    execute_all(statement.body);
    std::swap(outer, out_);
    assign(statement, outer);
  }

  void bind(const std::vector<std::string>& targets, const Value& item) {
    if (targets.size() == 1) {
      scopes_.back()[targets[0]] = item;
      return;
    }
    if (!item.is_array() || item.size() != targets.size()) throw TemplateError("cannot unpack a loop item");
    for (std::size_t i = 0; i < targets.size(); ++i) scopes_.back()[targets[i]] = item[i];
  }

  std::vector<Value> loop_items(const Statement& statement) {
    const Value all = evaluate(statement.expression);
    std::vector<Value> items;
    if (all.is_object()) {
      for (const auto& [key, value] : all.items()) items.emplace_back(key);
    } else if (all.is_array()) {
      items.assign(all.begin(), all.end());
    } else if (!all.is_discarded()) {
      throw TemplateError("a loop over what is no list");
    }
    if (statement.filter.empty()) return items;
    std::vector<Value> kept;
    scopes_.emplace_back();
    for (Value& item : items) {
      bind(statement.targets, item);
      if (is_true(evaluate(statement.filter[0]))) kept.push_back(std::move(item));
    }
    scopes_.pop_back();
    return kept;
  }

  void loop(const Statement& statement) {
    const std::vector<Value> items = loop_items(statement);
    if (items.empty()) return execute_all(statement.otherwise);
    const std::size_t size = items.size();
    for (std::size_t i = 0; i < size; ++i) {
      scopes_.emplace_back();
      Value state = {{"index", i + 1}, {"index0", i},          {"first", i == 0},          {"last", i + 1 == size},
                     {"length", size}, {"revindex", size - i}, {"revindex0", size - i - 1}};
      if (i > 0) state["previtem"] = items[i - 1];
      if (i + 1 < size) state["nextitem"] = items[i + 1];
      scopes_.back()["loop"] = std::move(state);
      bind(statement.targets, items[i]);
      execute_all(statement.body);
      scopes_.pop_back();
    }
  }

  Value* find(const std::string& name) {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->find(name);
      if (found != scope->end()) return &found->second;
    }
    return nullptr;
  }

  std::vector<Value> evaluate_from(const Expression& e, std::size_t first) {
    std::vector<Value> values;
    for (std::size_t i = first; i < e.children.size(); ++i) values.push_back(evaluate(e.children[i]));
    return values;
  }

  Value evaluate(const Expression& e) {
    try {
      return value_of(e);
    } catch (const TemplateError& error) {
      if (std::string_view(error.what()).find(" at line ") != std::string_view::npos) throw;
      throw TemplateError(std::string(error.what()) + " at line " + std::to_string(e.line));
    } catch (const nlohmann::json::exception& error) {
      throw TemplateError(std::string(error.what()) + " at line " + std::to_string(e.line));
    }
  }

  Value value_of(const Expression& e) {
    switch (e.kind) {
      case Expression::Kind::constant:
        return e.value;
      case Expression::Kind::name: {
        const Value* found = find(e.text);
        return found == nullptr ? undefined() : *found;
      }
      case Expression::Kind::list:
        return evaluate_from(e, 0);
      case Expression::Kind::dict:
        return dict(e);
      case Expression::Kind::attribute:
        return item_of(evaluate(e.children[0]), e.text);
      case Expression::Kind::item:
        return item_of(evaluate(e.children[0]), evaluate(e.children[1]));
      case Expression::Kind::slice:
        return slice_of(evaluate(e.children[0]), evaluate_from(e, 1));
      case Expression::Kind::call:
        return call(e);
      case Expression::Kind::filter:
        return apply_filter(e.text, evaluate(e.children[0]), evaluate_from(e, 1));
      case Expression::Kind::test:
        return apply_test(e.text, evaluate(e.children[0]), evaluate_from(e, 1));
      case Expression::Kind::unary:
        return unary(e);
      case Expression::Kind::binary:
        return binary(e);
      case Expression::Kind::conditional:
        return evaluate(is_true(evaluate(e.children[1])) ? e.children[0] : e.children[2]);
    }
    return undefined();
  }

  Value dict(const Expression& e) {
    Value out = Value::object();
    for (std::size_t i = 0; i < e.children.size(); i += 2)
      out[to_text(evaluate(e.children[i]))] = evaluate(e.children[i + 1]);
    return out;
  }

  Value unary(const Expression& e) {
    const Value value = evaluate(e.children[0]);
    if (e.text == "not") return !is_true(value);
    return binary_operation(e.text, 0, value);
  }

  Value binary(const Expression& e) {
    Value left = evaluate(e.children[0]);
    if (e.text == "and") return is_true(left) ? evaluate(e.children[1]) : left;
    if (e.text == "or") return is_true(left) ? left : evaluate(e.children[1]);
    return binary_operation(e.text, left, evaluate(e.children[1]));
  }

  Value call(const Expression& e) {
    const Expression& callee = e.children[0];
    const std::vector<Value> arguments = evaluate_from(e, 1);
    if (callee.kind == Expression::Kind::attribute)
      return call_method(evaluate(callee.children[0]), callee.text, arguments);
    if (callee.kind != Expression::Kind::name) throw TemplateError("a call of what is no function");
    if (callee.text == "raise_exception") throw Raised{arguments.empty() ? "" : to_text(arguments[0])};
    if (callee.text == "namespace" || callee.text == "dict") return named_arguments(e, arguments);
    if (callee.text == "range") return range(arguments);
    throw TemplateError("function '" + callee.text + "' is not supported");
  }

  static Value named_arguments(const Expression& e, const std::vector<Value>& arguments) {
    const std::size_t positional = arguments.size() - e.named.size();
    Value object = positional > 0 ? arguments[0] : Value::object();
    for (std::size_t i = 0; i < e.named.size(); ++i) object[e.named[i]] = arguments[positional + i];
    return object;
  }

  static Value range(const std::vector<Value>& arguments) {
    if (arguments.empty()) throw TemplateError("range needs an end");
    const auto begin = arguments.size() > 1 ? arguments[0].get<std::int64_t>() : 0;
    const auto end = arguments[arguments.size() > 1 ? 1 : 0].get<std::int64_t>();
    const auto step = arguments.size() > 2 ? arguments[2].get<std::int64_t>() : 1;
    if (step == 0) throw TemplateError("range step 0");
    Value all = Value::array();
    for (auto i = begin; step > 0 ? i < end : i > end; i += step) all.push_back(i);
    return all;
  }

  std::vector<Scope> scopes_;
  std::string out_;
};

ModelError unsupported(const TemplateError& error) {
  return ModelError("cannot use the chat template (" + std::string(error.what()) +
                    ") give the prompt as it is with --raw-prompt");
}

}  // namespace

struct ChatTemplate::Program {
  std::vector<Statement> statements;
};

ChatTemplate::ChatTemplate(std::string_view source) {
  try {
    program_ = std::make_shared<const Program>(Program{parse_template(source)});
  } catch (const TemplateError& error) {
    throw unsupported(error);
  }
}

std::string ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  try {
    return Renderer(variables).run(program_->statements);
  } catch (const Raised& raised) {
    throw UsageError("the chat template refuses the conversation (" + raised.message + ") change the messages");
  } catch (const TemplateError& error) {
    throw unsupported(error);
  }
}

}  // namespace shoal::text
