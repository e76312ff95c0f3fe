#include "text/template_renderer.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <deque>
#include <map>

#include "text/template_functions.hpp"

namespace shoal::text {
namespace {

using Value = TemplateValue;
using Node = Expression::Kind;
using Type = Statement::Kind;

constexpr std::int64_t work_limit = 4'000'000;  // steps; touching 64 bytes counts as one
constexpr int recursion_limit = 1000;           // statements and expressions
constexpr std::int64_t range_limit = 100'000;   // as Jinja's sandbox has it
constexpr std::size_t namespace_limit = 1000;

/// Variables of a template, a loop's turn or a macro's call.
struct Scope {
  std::map<std::string, Value, std::less<>> variables;
  Scope* outer = nullptr;
};

/// How a statement leaves the ones behind it.
enum class Flow { next, stop_loop, next_iteration };

class Renderer {
 public:
  Renderer(const Value& variables, std::chrono::system_clock::time_point now) : now_(now) {
    for (const auto& [name, value] : variables.entries()) global_.variables.insert_or_assign(name, value);
  }

  std::string run(const std::vector<Statement>& program) {
    execute_all(program);
    return out_.take();
  }

 private:
  // Limits

  /// Counts one level of recursion while it lives.
  class Level {
   public:
    explicit Level(int* depth) : depth_(depth) {
      if (++*depth_ > recursion_limit) {
        --*depth_;
        throw TemplateError("the template recurses too deeply");
      }
    }
    ~Level() { --*depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int* depth_;
  };

  void charge(std::size_t steps) {
    work_ += static_cast<std::int64_t>(steps) + 1;
    if (work_ > work_limit) throw TemplateError("the template works for too long");
  }
  /// For an operation that may look at all of @p value's own content.
  void charge_for(const Value& value) {
    charge(value.is_list()   ? value.items().size() / 16
           : value.is_dict() ? value.entries().size() / 16
                             : value.weight() / 64);
  }

  /// Adds the line to an error that has none.
  template <class Work>
  auto at_line(int line, const Work& work) {
    try {
      return work();
    } catch (const TemplateError& error) {
      if (error.line() > 0) throw;
      throw TemplateError(error.what(), line);
    }
  }

  // Statements

  Flow execute_all(const std::vector<Statement>& body) {
    const Level level(&depth_);
    for (const Statement& statement : body)
      if (const Flow flow = execute(statement); flow != Flow::next) return flow;
    return Flow::next;
  }

  Flow execute(const Statement& statement) {
    charge(0);
    switch (statement.kind) {
      case Type::text:
        out_.append(statement.text);
        return Flow::next;
      case Type::output:
        return write(statement);
      case Type::conditional:
        return choose(statement);
      case Type::loop:
        return loop(statement);
      case Type::assign:
        assign(statement.targets, evaluate(statement.expression[0]), statement.line);
        return Flow::next;
      case Type::capture:
        assign(statement.targets, captured(statement), statement.line);
        return Flow::next;
      case Type::filtered:
        out_.append(at_line(statement.line, [&] { return to_text(captured(statement)); }));
        return Flow::next;
      case Type::macro:
        scope_->variables.insert_or_assign(statement.text, Value(Value::Callable{statement.text, &statement, {}}));
        return Flow::next;
      case Type::scope:
        return run_scope(statement);
      case Type::stop_loop:
        return Flow::stop_loop;
      case Type::next_iteration:
        return Flow::next_iteration;
    }
    return Flow::next;
  }

  Flow write(const Statement& statement) {
    const Value value = evaluate(statement.expression[0]);
    at_line(statement.line, [&] { out_.append(value.is_text() ? value.text() : to_text(value)); });
    return Flow::next;
  }

  Flow choose(const Statement& statement) {
    for (const auto& branch : statement.branches)
      if (is_true(evaluate(branch.condition))) return execute_all(branch.body);
    return execute_all(statement.otherwise);
  }

  void assign(const std::vector<Statement::Target>& targets, const Value& value, int line) {
    if (targets.size() == 1) return assign(targets[0], value, line);
    const TemplateValues items = at_line(line, [&] { return elements(value); });
    if (items.size() != targets.size()) throw TemplateError("cannot unpack a value into so many variables", line);
    for (std::size_t i = 0; i < targets.size(); ++i) assign(targets[i], items[i], line);
  }

  void assign(const Statement::Target& target, const Value& value, int line) {
    if (target.attribute.empty()) {
      scope_->variables.insert_or_assign(target.name, value);
      return;
    }
    const Value* found = find(target.name);
    Value::Namespace* space = found == nullptr ? nullptr : found->space();
    if (space == nullptr) throw TemplateError("'" + target.name + "' is not a namespace", line);
    charge(space->entries.size() / 16);
    set(&space->entries, target.attribute, value);
  }

  static void set(Value::Entries* entries, const std::string& name, const Value& value) {
    const auto found =
        std::find_if(entries->begin(), entries->end(), [&](const auto& entry) { return entry.first == name; });
    if (found == entries->end())
      entries->emplace_back(name, value);
    else
      found->second = value;
  }

  /// The text of a statement's body, filtered as the statement says.
  Value captured(const Statement& statement) {
    TextBuilder outer;
    std::swap(outer, out_);
    Scope inner{{}, scope_};
    scope_ = &inner;
    execute_all(statement.body);
    std::swap(outer, out_);
    inner.variables.insert_or_assign("", Value(outer.take()));
    Value value = evaluate(statement.expression[0]);
    scope_ = inner.outer;
    return value;
  }

  Flow run_scope(const Statement& statement) {
    Scope inner{{}, scope_};
    for (const Binding& binding : statement.bindings)
      inner.variables.insert_or_assign(binding.name, evaluate(binding.value[0]));
    scope_ = &inner;
    const Flow flow = execute_all(statement.body);
    scope_ = inner.outer;
    return flow;
  }

  TemplateValues loop_items(const Statement& statement) {
    const Value all = evaluate(statement.expression[0]);
    charge_for(all);
    TemplateValues items = at_line(statement.line, [&] { return elements(all); });
    if (statement.condition.empty()) return items;
    Scope inner{{}, scope_};
    scope_ = &inner;
    std::erase_if(items, [&](const Value& item) {
      assign(statement.targets, item, statement.line);
      return !is_true(evaluate(statement.condition[0]));
    });
    scope_ = inner.outer;
    return items;
  }

  Flow loop(const Statement& statement) {
    const TemplateValues items = loop_items(statement);
    if (items.empty()) return execute_all(statement.otherwise);
    for (std::size_t i = 0; i < items.size(); ++i) {
      charge(8);
      Scope turn{{}, scope_};
      turn.variables.insert_or_assign("loop", loop_state(items, i));
      scope_ = &turn;
      assign(statement.targets, items[i], statement.line);
      const Flow flow = execute_all(statement.body);
      scope_ = turn.outer;
      if (flow == Flow::stop_loop) break;
    }
    return Flow::next;
  }

  static Value loop_state(const TemplateValues& items, std::size_t i) {
    const std::size_t size = items.size();
    Value::Entries state{{"index", Value::of_size(i + 1)},
                         {"index0", Value::of_size(i)},
                         {"first", i == 0},
                         {"last", i + 1 == size},
                         {"length", Value::of_size(size)},
                         {"revindex", Value::of_size(size - i)},
                         {"revindex0", Value::of_size(size - i - 1)}};
    if (i > 0) state.emplace_back("previtem", items[i - 1]);
    if (i + 1 < size) state.emplace_back("nextitem", items[i + 1]);
    return state;
  }

  const Value* find(const std::string& name) const {
    for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer)
      if (const auto found = scope->variables.find(name); found != scope->variables.end()) return &found->second;
    return nullptr;
  }

  // Expressions

  Value evaluate(const Expression& e) {
    const Level level(&depth_);
    charge(0);
    return at_line(e.line, [&] { return value_of(e); });
  }

  TemplateValues evaluate_from(const Expression& e, std::size_t first) {
    TemplateValues values;
    for (std::size_t i = first; i < e.children.size(); ++i) values.push_back(evaluate(e.children[i]));
    return values;
  }

  Value value_of(const Expression& e) {
    switch (e.kind) {
      case Node::constant:
        return e.value;
      case Node::name:
        return variable(e.text);
      case Node::list:
        return evaluate_from(e, 0);
      case Node::tuple:
        return {evaluate_from(e, 0), ListKind::tuple};
      case Node::dict:
        return dict(e);
      case Node::attribute:
        return attribute(e);
      case Node::item:
        return item(e);
      case Node::slice:
        return slice(e);
      case Node::call:
        return call(e);
      case Node::filter:
      case Node::test:
        return filter_or_test(e);
      case Node::unary:
        return unary_operation(e.text, evaluate(e.children[0]));
      case Node::binary:
        return binary(e);
      case Node::comparison:
        return comparison(e);
      case Node::conditional:
        return conditional(e);
    }
    return Value::undefined("");
  }

  Value variable(const std::string& name) const {
    if (const Value* found = find(name)) return *found;
    for (const char* function : {"raise_exception", "strftime_now", "namespace", "dict", "range"})
      if (name == function) return Value(Value::Callable{name, nullptr, {}});
    for (const char* function : {"lipsum", "cycler", "joiner"})
      if (name == function) throw TemplateError("function '" + name + "' is not supported");
    return Value::undefined(name);
  }

  Value dict(const Expression& e) {
    Value::Entries entries;
    for (std::size_t i = 0; i < e.children.size(); i += 2) {
      const Value key = evaluate(e.children[i]);
      if (!key.is_text()) throw TemplateError("a dict with keys that are no texts is not supported");
      charge(entries.size() / 16);
      set(&entries, key.text(), evaluate(e.children[i + 1]));
    }
    return entries;
  }

  Value attribute(const Expression& e) {
    const Value object = evaluate(e.children[0]);
    if (object.is_dict()) charge_for(object);
    return attribute_of(object, e.text);
  }

  Value item(const Expression& e) {
    const Value object = evaluate(e.children[0]);
    const Value key = evaluate(e.children[1]);
    if (!object.is_list()) charge_for(object);
    return item_of(object, key);
  }

  Value slice(const Expression& e) {
    const Value object = evaluate(e.children[0]);
    charge_for(object);
    return slice_of(object, evaluate_from(e, 1));
  }

  Value conditional(const Expression& e) {
    if (is_true(evaluate(e.children[1]))) return evaluate(e.children[0]);
    return e.children.size() > 2 ? evaluate(e.children[2]) : Value::undefined("inline if without else");
  }

  Value binary(const Expression& e) {
    Value left = evaluate(e.children[0]);
    if (e.text == "and") return is_true(left) ? evaluate(e.children[1]) : left;
    if (e.text == "or") return is_true(left) ? left : evaluate(e.children[1]);
    const Value right = evaluate(e.children[1]);
    charge_for(left);
    charge_for(right);
    Value result = binary_operation(e.text, left, right);
    charge_for(result);
    return result;
  }

  Value comparison(const Expression& e) {
    Value left = evaluate(e.children[0]);
    for (std::size_t i = 0; i < e.words.size(); ++i) {
      Value right = evaluate(e.children[i + 1]);
      charge((left.weight() + right.weight()) / 64);
      if (!compare(e.words[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  TemplateArguments arguments_of(const Expression& e) {
    TemplateArguments arguments{evaluate_from(e, 1), {}};
    const std::size_t positional = arguments.positional.size() - e.words.size();
    for (std::size_t i = 0; i < e.words.size(); ++i)
      arguments.named.emplace_back(e.words[i], std::move(arguments.positional[positional + i]));
    arguments.positional.erase(arguments.positional.begin() + static_cast<std::ptrdiff_t>(positional),
                               arguments.positional.end());
    return arguments;
  }

  Value filter_or_test(const Expression& e) {
    const Value value = evaluate(e.children[0]);
    const TemplateArguments arguments = arguments_of(e);
    if (e.kind == Node::test) {
      if (!arguments.positional.empty()) charge((value.weight() + arguments.positional[0].weight()) / 64);
      return apply_test(e.text, value, arguments);
    }
    const bool takes_no_look = value.is_list() && (e.text == "length" || e.text == "count");
    if (!takes_no_look) charge_for(value);
    Value result = apply_filter(e.text, value, arguments);
    charge_for(result);
    return result;
  }

  // Calls

  Value call(const Expression& e) {
    const Expression& callee = e.children[0];
    const bool of_loop =
        callee.kind == Node::attribute && callee.children[0].kind == Node::name && callee.children[0].text == "loop";
    if (of_loop && (callee.text == "cycle" || callee.text == "changed")) return call_of_loop(callee, arguments_of(e));
    const Value function = evaluate(callee);
    if (function.is_undefined()) throw TemplateError("'" + function.undefined_name() + "' is undefined or not allowed");
    if (!function.is_callable()) throw TemplateError("a call of what is no function");
    const TemplateArguments arguments = arguments_of(e);
    const Value::Callable& callable = function.callable();
    if (callable.macro != nullptr) return call_macro(*callable.macro, arguments);
    if (callable.object.empty()) return call_function(callable.name, arguments);
    charge_for(callable.object[0]);
    Value result = call_method(callable.object[0], callable.name, arguments);
    charge_for(result);
    return result;
  }

  Value call_of_loop(const Expression& callee, const TemplateArguments& arguments) {
    if (callee.text == "changed") throw TemplateError("'loop.changed' is not supported");
    if (arguments.positional.empty()) throw TemplateError("'loop.cycle' needs values");
    const std::int64_t turn = attribute_of(evaluate(callee.children[0]), "index0").integer();
    return arguments.positional[static_cast<std::size_t>(turn) % arguments.positional.size()];
  }

  Value call_function(const std::string& name, const TemplateArguments& arguments) {
    if (name == "raise_exception") {
      arguments.expect({"message"});
      throw TemplateRaised{to_text(arguments.need(0, "message"))};
    }
    if (name == "strftime_now") return time_now(to_text(arguments.need(0, "format")));
    if (name == "range") return range(arguments);
    Value::Entries entries = named_entries(arguments);
    if (name == "dict") return entries;
    if (namespaces_.size() >= namespace_limit) throw TemplateError("too many namespaces");
    return &namespaces_.emplace_back(Value::Namespace{std::move(entries)});
  }

  /// A dict given by position, if any, and what is given by name.
  static Value::Entries named_entries(const TemplateArguments& arguments) {
    Value::Entries entries;
    if (arguments.positional.size() > 1) throw TemplateError("too many arguments");
    if (!arguments.positional.empty()) {
      if (!arguments.positional[0].is_dict()) throw TemplateError("a dict is needed");
      entries = arguments.positional[0].entries();
    }
    for (const auto& [name, value] : arguments.named) set(&entries, name, value);
    return entries;
  }

  Value range(const TemplateArguments& arguments) {
    arguments.expect({"start", "stop", "step"});
    const auto& given = arguments.positional;
    if (given.empty()) throw TemplateError("'range' needs an end");
    const std::int64_t begin = given.size() > 1 ? given[0].integer() : 0;
    const std::int64_t end = given[given.size() > 1 ? 1 : 0].integer();
    const std::int64_t step = given.size() > 2 ? given[2].integer() : 1;
    if (step == 0) throw TemplateError("'range' with step 0");
    TemplateValues all;
    for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
      all.emplace_back(i);
      if (static_cast<std::int64_t>(all.size()) > range_limit) throw TemplateError("'range' is too long");
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    charge(all.size());
    return all;
  }

  [[nodiscard]] Value time_now(const std::string& format) const {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now_);
    std::tm fields{};
    localtime_r(&seconds, &fields);
    std::array<char, 4096> buffer{};
    return std::string(buffer.data(), std::strftime(buffer.data(), buffer.size(), format.c_str(), &fields));
  }

  static void check_arguments(const Statement& macro, const TemplateArguments& arguments) {
    const std::vector<Binding>& parameters = macro.bindings;
    if (arguments.positional.size() > parameters.size())
      throw TemplateError("macro '" + macro.text + "' takes at most " + std::to_string(parameters.size()) +
                          " arguments");
    for (const auto& argument : arguments.named)
      if (std::none_of(parameters.begin(), parameters.end(),
                       [&](const Binding& b) { return b.name == argument.first; }))
        throw TemplateError("macro '" + macro.text + "' has no parameter '" + argument.first + "'");
  }

  Value argument_of(const Binding& parameter, const Value* given) {
    if (given != nullptr) return *given;
    return parameter.value.empty() ? Value::undefined(parameter.name) : evaluate(parameter.value[0]);
  }

  Value call_macro(const Statement& macro, const TemplateArguments& arguments) {
    check_arguments(macro, arguments);
    Scope body{{}, &global_};
    Scope* const caller = std::exchange(scope_, &body);
    for (std::size_t i = 0; i < macro.bindings.size(); ++i) {
      const Binding& parameter = macro.bindings[i];
      body.variables.insert_or_assign(parameter.name, argument_of(parameter, arguments.find(i, parameter.name)));
    }
    TextBuilder outer;
    std::swap(outer, out_);
    execute_all(macro.body);
    std::swap(outer, out_);
    scope_ = caller;
    return outer.take();
  }

  std::chrono::system_clock::time_point now_;
  Scope global_;
  Scope* scope_ = &global_;
  std::deque<Value::Namespace> namespaces_;
  TextBuilder out_;
  std::int64_t work_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string render_template(const std::vector<Statement>& program, const Value& variables,
                            std::chrono::system_clock::time_point now) {
  return Renderer(variables, now).run(program);
}

}  // namespace shoal::text
