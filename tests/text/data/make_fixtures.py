"""Fixtures of the text module: tokenizers and chat templates as Hugging Face's own libraries treat them.

    pip install tokenizers transformers jinja2
    python make_fixtures.py FOLDER

Writes tokenizer_*.json (three small byte-level BPE tokenizers with the families' own split patterns), strings_*.json
(awkward strings with the ids and the decoded text that `tokenizers` gives) and chat_templates.json (templates with the
text that transformers' Jinja environment renders). Seeded: the same files every time.
"""
import json
import pathlib
import random
import sys

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")

WORDS = """the a of and in to is it that's they'll we've I'm you'd particle particles filter weights resampling migration
parallel processing language model probability sequence token Hello world naïve café Straße Ångström façade coöperate
Привет мир κόσμος שלום مرحبا नमस्ते สวัสดี 你好 世界 日本語 テスト 한국어 안녕 123 4567 3.14159 1,000,000 2026-11-24 ½ Ⅳ ² ٣
foo_bar CamelCase snake_case HTML <br/> https://example.org/a?b=c&d=e user@example.com #include <vector> std::vector<int>
x+=1; {"key": [1, 2.5, null]} $100 100% (parentheses) "quoted" 'single' — – … • → ∑ ∫ √ ≤ © ®""".split()
PIECES = WORDS + [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u2003", "\u3000", "\u200b", "\u200d", "\ufeff", "\u2028",
    "e\u0301", "\u0301", "a\u0308\u0323", "\u1100\u1161\u11a8", "ﬁ", "Å", "\u212b", "ſ", "İ", "ß", "𝔸", "𝟙", "🙂", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽",
    "🇫🇷", "\U0010ffff", "\x00", "\x7f", "\u0085", "'S", "'LL", "'ſ", "''", "'", "!!!", "...", "?!\n", "a'b", "\\n", "\\", "/",
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_start", "|>", "[STRIP]", " [STRIP] ", "[WORD]", "x[WORD]", "[WORD]y", "É",
    "E\u0301", "[É]", "[E\u0301]", "0", "00", "000", "0000", "12345678901234567890", "a" * 40, "ab" * 30, " " * 17, "\n" * 9]


def awkward_strings(count):
    rng = random.Random(20261124)
    strings = ["", " ", "\n", "a", "🙂"] + PIECES + [" " + p for p in PIECES] + [p + " " for p in PIECES]
    while len(strings) < count:
        glue = rng.choice(["", "", " ", "  ", "\n"])
        strings.append(glue.join(rng.choice(PIECES) for _ in range(rng.randint(2, 9))))
    for _ in range(200):  # anything at all
        strings.append("".join(chr(rng.choice([rng.randint(0, 0x7f), rng.randint(0x80, 0x2fff), rng.randint(0x3000, 0xd7ff),
                                               rng.randint(0xe000, 0xffff), rng.randint(0x10000, 0x1ffff)]))
                               for _ in range(rng.randint(1, 12))))
    return strings


def corpus():
    rng = random.Random(1)
    return [" ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(400)]


def trained(name, normalizer, pre_tokenizer, post_processor, extra):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens(extra)
    if post_processor:
        tokenizer.post_processor = post_processor(tokenizer)
    return name, tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def bos(tokenizer):
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|endoftext|> $A <|im_end|>", special_tokens=[(t, tokenizer.token_to_id(t))
                                                             for t in ("<|endoftext|>", "<|im_end|>")])])


def tokenizers():
    odd = [AddedToken("[STRIP]", lstrip=True, rstrip=True, normalized=False), AddedToken("[WORD]", single_word=True),
           AddedToken("[É]", normalized=True), AddedToken("[WOR", normalized=False)]
    yield trained("qwen2", normalizers.NFC(), split(QWEN), None, odd)
    yield trained("llama3", None, split(LLAMA3), bos, odd[:2])
    yield trained("gpt2", None, pre_tokenizers.ByteLevel(add_prefix_space=True), None, [])


def write_tokenizers(folder, strings):
    for name, tokenizer in tokenizers():
        data = json.loads(tokenizer.to_str())
        if name == "llama3":
            data["model"]["ignore_merges"] = True
        tokenizer = Tokenizer.from_str(json.dumps(data))
        (folder / f"tokenizer_{name}.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
        cases = []
        for text in strings:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases.append([text, ids, tokenizer.decode(ids, skip_special_tokens=False)])
        special = tokenizer.encode("Hello world").ids
        (folder / f"strings_{name}.json").write_text(
            json.dumps({"cases": cases, "hello_world_with_special": special}, ensure_ascii=False, separators=(",", ":")))


CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN15 = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
          "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
          "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN25 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
LLAMA2 = ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
          "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
          "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
          "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
          "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
          "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
          "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
          "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
LLAMA3_CHAT = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
               "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
               "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
FEATURES = """{#- a comment -#}
{%- set ns = namespace(count=0, names=[]) %}
{%- for m in messages if m.role != 'system' %}
    {%- set ns.count = ns.count + 1 %}
    {%- set ns.names = ns.names + [m['role'] | upper] %}
  {{ loop.index }}/{{ loop.length }}: {{ m.content.split(' ')[0] }}{{ '!' if loop.last else ',' }}
{%- else %}nobody
{%- endfor %}
count={{ ns.count }} names={{ ns.names | join('+') }} {{ messages | length > 1 and 'many' or 'one' }}
{{ messages[-1].content[:3] }} {{ messages[-1]['content'][::-1][:3] }} {{ (7 // 2) ~ '|' ~ (7 % 4) ~ '|' ~ (2 - 5) * 2 }}
{{ missing is defined }} {{ missing | default('none given') }} {{ bos_token is string and bos_token is not none }}
{% set long %}captured {{ eos_token }}{% endset %}{{ long | replace('captured', 'kept') | title }}
{%- for key, value in messages[0].items() %} {{ key }}={{ value | trim | length }}{% endfor %}
{{ {'a': [1, 2.5, true, none], 'b': "q\\"uote"} | tojson }} {{ 'x' in 'xyz' }} {{ 'user' not in ['system'] }}
{%- if not messages[0].content.startswith('Hi') or false %} no Hi {%- endif +%}
  end   
"""
TEMPLATES = {"chatml": CHATML, "qwen1.5": QWEN15, "qwen2.5": QWEN25, "llama2": LLAMA2, "llama3": LLAMA3_CHAT,
             "zephyr": ZEPHYR, "features": FEATURES}
CONVERSATIONS = [
    [{"role": "user", "content": "Hi there"}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "  Tell me about MPI.\n"}],
    [{"role": "user", "content": "A"}, {"role": "assistant", "content": " B "}, {"role": "user", "content": "<C> & \"D\" 🙂"}],
    [{"role": "system", "content": "S"}, {"role": "user", "content": "1"}, {"role": "assistant", "content": "2"},
     {"role": "user", "content": "3"}],
    [{"role": "assistant", "content": "out of turn"}],
]


def write_templates(folder):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message):
        raise TemplateError(message)

    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda x, **kw: json.dumps(x, ensure_ascii=False)
    cases = []
    for name, source in TEMPLATES.items():
        compiled = env.from_string(source)
        for messages in CONVERSATIONS:
            variables = {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>"}
            try:
                cases.append({"name": name, "template": source, "variables": variables, "text": compiled.render(**variables)})
            except TemplateError as error:
                cases.append({"name": name, "template": source, "variables": variables, "error": error.message})
    (folder / "chat_templates.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    write_tokenizers(target, awkward_strings(2000))
    write_templates(target)
