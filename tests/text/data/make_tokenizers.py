"""Fixtures of the tokenizer tests: small tokenizers of each family, and what Hugging Face's `tokenizers` makes of
awkward strings with them.

    pip install tokenizers
    python make_tokenizers.py FOLDER

Writes texts.json (the strings), tokenizer_FAMILY.json with cases_FAMILY.json (ids and decoded texts), variants.json
(single components in all their settings, as changes to a family's file) and characters.json (how many characters the
classes of split patterns hold). Seeded: the same files every time.
"""
import copy
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|")

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTION
         + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTION
         + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

WORDS = """the a of and in to is it that's they'll we've I'm you'd particle particles filter weights resampling
parallel processing language model probability sequence token Hello world naïve café Straße Ångström façade coöperate
Привет мир κόσμος שלום مرحبا नमस्ते สวัสดี 你好 世界 日本語 テスト 한국어 안녕 123 4567 3.14159 1,000,000 2026-11-24 ½ Ⅳ ² ٣
foo_bar CamelCase snake_case HTML <br/> https://example.org/a?b=c&d=e user@example.com #include <vector> std::vector<int>
x+=1; {"key": [1, 2.5, null]} $100 100% (parentheses) "quoted" 'single' — – … • → ∑ ∫ √ ≤ © ®""".split()
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_start", "|>", "<s>", "</s>", "<unk>", "<s", "[INST]", "[/INST]",
           " [INST] ", "<think>", "</think>\n", "▁<PRE>", " ▁<SUF>", "<|eot_id|>", "<|begin_of_text|>", "<start_of_turn>",
           "<0x0A>", "<0xE2>", "<bos>", "[STRIP]", " [STRIP] ", "[STRIP]\n", "[WORD]", "x[WORD]", "[WORD]y", "_[WORD]", "Ⓐ[WORD]",
           " [WORD] ", "[É]", "[E\u0301]", "▁[É]", "[WOR"]
PIECES = WORDS + SPECIAL + [
    " ", "  ", "   ", "\t", "\t\t", "\n", "\r\n", "\r", "\n\n", " \n ", "\u00a0", "\u2003", "\u3000", "\u200b", "\u200d", "\ufeff",
    "\u2028", "\u180e", "e\u0301", "\u0301", "a\u0308\u0323", "\u1100\u1161\u11a8", "ﬁ", "Å", "\u212b", "ſ", "İ", "ß", "𝔸", "𝟙", "🙂",
    "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷", "\U0010ffff", "\x00", "\x7f", "\u0085", "'S", "'LL", "'ſ", "''", "'", "!!!", "...", "?!\n", "a'b",
    "\\n", "\\", "/", "▁", "▁▁", "▁a", "▁ ▁", "\u2581\n", "É", "E\u0301", "0", "00", "000", "0000", "1234567890", "a" * 12, "ab" * 7,
    " " * 17, "\n" * 5, "\U00031350", "\U00010D40", "\ua7cb", "\u1c89", "\U0001E4F0"]
# Very long texts, written down as a unit and how often it comes.
LONG = [("a", 5000), ("ab", 3000), (" ", 4000), ("\n", 2000), ("1", 3000), ("🙂", 1000), ("é", 2000), ("e\u0301", 1000),
        ("the ", 2000), ("<s>", 300), ("\u0e2a\u0e27", 800), ("\r\n\t", 700), ("!?", 2500), ("▁", 3000), ("你", 1500),
        ("Hello world ", 700), ("particle", 900), ("\x00", 500), ("<|im_start|> ", 200), ("x'S ", 500)]
# Letters of Unicode 15 and 16, whose small forms Debian's utf8proc does not know.
NEWEST = {"\ua7cb", "\u1c89"}


def awkward_strings(count):
    rng = random.Random(20261124)
    texts = ["", " ", "\n", "a", "🙂"] + PIECES + [" " + p for p in SPECIAL] + [p + " " for p in SPECIAL] + [
        p + p for p in SPECIAL]
    while len(texts) < count:
        glue = rng.choice(["", "", " ", "  ", "\n"])
        texts.append(glue.join(rng.choice(PIECES if rng.random() < 0.75 else SPECIAL) for _ in range(rng.randint(2, 3))))
    for _ in range(200):  # anything at all
        texts.append("".join(chr(rng.choice([rng.randint(0, 0x7f), rng.randint(0x80, 0x2fff), rng.randint(0x3000, 0xd7ff),
                                             rng.randint(0xe000, 0xffff), rng.randint(0x10000, 0x1ffff)]))
                             for _ in range(rng.randint(1, 4))))
    return texts


def corpus(words=WORDS):
    rng = random.Random(1)
    return [" ".join(rng.choice(words) for _ in range(12)) for _ in range(400)]


def fnv(values):
    total = 0xcbf29ce484222325
    for value in values:
        total = ((total ^ value) * 0x100000001b3) & 0xffffffffffffffff
    return f"{total:016x}"


def special(*contents, normalized=False):
    return [AddedToken(c, special=True, normalized=normalized) for c in contents]


ODD = [AddedToken("[STRIP]", lstrip=True, rstrip=True, normalized=False), AddedToken("[WORD]", single_word=True),
       AddedToken("[É]", normalized=True), AddedToken("[WOR", normalized=False)]


def with_ends(tokenizer, before, after):
    names = " ".join(before + ["$A"] + after)
    return processors.TemplateProcessing(single=names, special_tokens=[(t, tokenizer.token_to_id(t)) for t in before + after])


def byte_level(pre_tokenizer, added, normalizer=None, model=None, before=(), after=()):
    """A tokenizer with a byte-level BPE model, trained on the words above."""
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=620, special_tokens=[], show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens(added)
    if before or after:
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), with_ends(tokenizer, list(before), list(after))])
    data = json.loads(tokenizer.to_str())
    data["model"].update(model or {})
    return data


def sentence_piece(added, normalizer, pre_tokenizer, decoder, model, before=(), first=("<unk>", "<s>", "</s>")):
    """A tokenizer with a BPE model as SentencePiece trains it: byte tokens, merges within words, and no cuts later. Only
    Latin, Greek and Cyrillic letters get tokens (by choice of words: the trainer's limit_alphabet depends on chance)."""
    words = [word for word in WORDS if max(word) < "\u0500"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(corpus(words), trainers.BpeTrainer(
        vocab_size=560, special_tokens=[], show_progress=False, initial_alphabet=["\n"] if added else []))
    data = json.loads(trained.to_str())
    by_id = sorted(data["model"]["vocab"].items(), key=lambda entry: entry[1])
    pieces = list(first) + [f"<0x{b:02X}>" for b in range(256)] * model.get("byte_fallback", False) + [p for p, _ in by_id]
    data["model"].update(vocab={p: i for i, p in enumerate(pieces)}, unk_token="<unk>", **model)
    data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_tokens(special(*first) + added)
    if before:
        tokenizer.post_processor = with_ends(tokenizer, list(before), [])
    return json.loads(tokenizer.to_str())


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def families():
    chatml = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    llama_decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                       decoders.Strip(" ", 1, 0)])
    fallback = {"byte_fallback": True, "fuse_unk": True}
    return {
        "gpt2": byte_level(gpt2, special("<|endoftext|>", normalized=True)),
        "phi2": byte_level(gpt2, special("<|endoftext|>") + [AddedToken(" " * n, normalized=True) for n in range(31, 1, -1)]
                           + [AddedToken("\t" * n, normalized=True) for n in range(9, 1, -1)]),
        "qwen": byte_level(split(QWEN), chatml + [AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)]
                           + ODD, normalizer=normalizers.NFC()),
        "llama3": byte_level(split(LLAMA3), special("<|begin_of_text|>", "<|eot_id|>") + ODD[:2], model={"ignore_merges": True},
                             before=["<|begin_of_text|>"]),
        "smollm": byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]), chatml),
        # Llama 2, TinyLlama, Mistral 0.1; the infilling tokens are CodeLlama's
        "llama2": sentence_piece(special("▁<PRE>", "▁<SUF>") + ODD,
                                 normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                                 llama_decoder, fallback, before=["<s>"]),
        "mistral3": sentence_piece(special("[INST]", "[/INST]") + ODD, None, pre_tokenizers.Metaspace("▁", "first", False),
                                   llama_decoder, fallback, before=["<s>"]),
        "gemma": sentence_piece(special("<start_of_turn>") + [AddedToken("\n" * n, normalized=False) for n in range(2, 6)],
                                normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
                                decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
                                fallback, before=["<bos>"], first=("<pad>", "<eos>", "<bos>", "<unk>")),
        "metaspace": sentence_piece([], normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace(), {"fuse_unk": False}),
    }


def later_families():
    """Written after the variants, whose random choices they would change."""
    llama_decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                       decoders.Strip(" ", 1, 0)])
    fallback = {"byte_fallback": True, "fuse_unk": True}
    turns = ["<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
    return {
        "phi3": sentence_piece([AddedToken("</s>", rstrip=True, normalized=False)] + special("<|endoftext|>")
                               + [AddedToken(turn, rstrip=True, special=True, normalized=False) for turn in turns],
                               normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                               llama_decoder, fallback, before=["<s>"]),
        "phi4_mini": byte_level(split(GPT4O), special("<|endoftext|>") + [
            AddedToken(turn, lstrip=True, rstrip=True, special=True, normalized=False) for turn in turns]),
        "gpt_neox": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), special("<|endoftext|>", "<|padding|>")
                               + [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)],
                               normalizer=normalizers.NFC()),
        "gemma3": sentence_piece(special("<mask>") + [AddedToken("[multimodal]", normalized=False),
                                                      AddedToken("<unused0>", normalized=False)]
                                 + special("<start_of_turn>", "<end_of_turn>")
                                 + [AddedToken("\n" * n, normalized=False) for n in range(1, 32)]
                                 + [AddedToken("▁" * n, normalized=False) for n in range(2, 32)]
                                 + [AddedToken(tag, normalized=False) for tag in ("<table>", "<br/>", "<code>", "</code>")]
                                 + special("<start_of_image>", "<end_of_image>"),
                                 normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
                                 decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
                                 {"ignore_merges": False, **fallback}, before=["<bos>"],
                                 first=("<pad>", "<eos>", "<bos>", "<unk>")),
    }


def variants():
    """(family, what is set to what in its file)"""
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield "qwen", {"normalizer": {"type": form}}
    for left in (True, False):
        for right in (True, False):
            yield "llama2", {"normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Strip", "strip_left": left, "strip_right": right}, {"type": "Prepend", "prepend": "▁"}]}}
            yield "mistral3", {"normalizer": {"type": "Strip", "strip_left": left, "strip_right": right}}
    for pattern in ({"String": "a"}, {"Regex": r"^[\s\p{L}]+"}, {"Regex": r"\s+$"}, {"Regex": "x*"}):
        for content in ("", "é▁"):
            yield "mistral3", {"normalizer": {"type": "Replace", "pattern": pattern, "content": content}}
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            for pattern in ({"String": " "}, {"Regex": r"\s*"}, {"Regex": r"\p{L}+|\d"}, {"Regex": r"(?=[A-Z])|[.,!?]"}):
                yield "qwen", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}}
    for pattern in (r"\w+|\W", r"[^\s\p{P}\p{S}\d]+", r"\P{L}+", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
                    r"^.|.$", r"[^\S\r\n]+", r"\p{^N}+", r"(?<!\p{L})\p{Han}++|\D", r"[\]\[]+|\x{41}|é"):
        yield "qwen", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}]}}
    for individual in (True, False):
        yield "metaspace", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": individual},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]}}
    for scheme in ("always", "first", "never"):
        for split_words in (True, False):
            space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split_words}
            yield "llama2", {"normalizer": None, "pre_tokenizer": space, "decoder": space}
    yield "gpt2", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}
    yield "gpt2", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}}
    for fallback in (True, False):
        for fuse in (True, False):
            yield "llama2", {"model": {"byte_fallback": fallback, "fuse_unk": fuse}}
            yield "llama2", {"model": {"byte_fallback": fallback, "fuse_unk": fuse, "unk_token": None}}
    for unknown in ("<unk>", None):
        yield "llama2", {"model": {"unk_token": unknown, "vocab": {"<0xF0>": None, "no F0": 243, "<0xE2>": None, "no E2": 229}}}
    yield "smollm", {"model": {"ignore_merges": True}}
    for kind in ("BertProcessing", "RobertaProcessing"):
        yield "llama2", {"post_processor": {"type": kind, "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
                                            "add_prefix_space": True}}
    for start, stop in ((0, 0), (1, 0), (2, 0), (0, 1)):  # both at once make HF panic on a token of one character
        yield "metaspace", {"decoder": {"type": "Sequence", "decoders": [
            {"type": "Strip", "content": "▁", "start": start, "stop": stop},
            {"type": "Replace", "pattern": {"Regex": "[▁e]+"}, "content": "_"}]}}
    yield "llama2", {"decoder": {"type": "ByteFallback"}}
    yield "llama2", {"decoder": {"type": "Fuse"}}


def changed(data, change):
    """JSON merge patch."""
    if not isinstance(change, dict):
        return change
    out = dict(data) if isinstance(data, dict) else {}
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = changed(out.get(key), value)
    return out


def with_plain_pairs(data):
    """Merges as "a b", as older files have them."""
    data = copy.deepcopy(data)
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    return data


def cases(tokenizer, texts, rng):
    """Ids of each text, and where decoding does not give the text back, what it gives."""
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    decoded = [tokenizer.decode(one, skip_special_tokens=False) for one in ids]
    probe = next(text for text in ("Hello", "1, 2") if tokenizer.encode(text, add_special_tokens=False).ids)
    whole, plain = tokenizer.encode(probe).ids, tokenizer.encode(probe, add_special_tokens=False).ids
    at = next(i for i in range(len(whole)) if whole[i:i + len(plain)] == plain)
    before, after = whole[:at], whole[at + len(plain):]
    for text, one in zip(texts, ids):
        assert tokenizer.encode(text).ids == before + one + after
    sequences = [[rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randint(1, 8))] for _ in range(150)]
    sequences += [before + one + after for one in ids[5:80:3]]
    return {"ids": ids, "decoded": [None if d == t else d for d, t in zip(decoded, texts)], "before": before, "after": after,
            "sequences": [[s, tokenizer.decode(s, skip_special_tokens=False)] for s in sequences]}


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def character_counts():
    everything = "".join(chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000)
    counts = {}
    for name in ["L", "N", "M", "P", "S", "Lu", "Ll", "Lm", "Lo", "Nd", "No"]:
        for pattern in (rf"\p{{{name}}}", rf"[\p{{{name}}}\n]"):
            counts[pattern] = 0
    for pattern in (r"\s", r"\w", r"\d", r"[^\s\p{L}\p{N}]", r"\S", r"\W", r"\D", r"\P{L}", r"[^\S\r\n]", *counts):
        pieces = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(everything)
        counts[pattern] = len(everything) - sum(end - begin for _, (begin, end) in pieces)
    return counts


def write_family(folder, name, data, texts, rng):
    tokenizer = Tokenizer.from_str(json.dumps(data))
    write(folder, f"tokenizer_{name}.json", data)
    fixture = cases(tokenizer, texts, rng)
    long_ids = [(unit, count, tokenizer.encode(unit * count, add_special_tokens=False).ids) for unit, count in LONG]
    fixture["long"] = [[unit, count, len(ids), fnv(ids)] for unit, count, ids in long_ids]
    write(folder, f"cases_{name}.json", fixture)


def main(folder):
    texts = awkward_strings(1830)
    rng = random.Random(7)
    files = families()
    for name in ("gpt2", "llama2"):
        files[name] = with_plain_pairs(files[name])
    write(folder, "texts.json", texts)
    for name, data in files.items():
        write_family(folder, name, data, texts, rng)
    entries = []
    for family, change in variants():
        tokenizer = Tokenizer.from_str(json.dumps(changed(files[family], change)))
        some = sorted(i for i in rng.sample(range(len(texts)), 23) if not NEWEST & set(texts[i]))
        one = cases(tokenizer, [texts[i] for i in some], rng)
        entries.append({"family": family, "change": change, "texts": some, "ids": one["ids"], "decoded": one["decoded"],
                        "before": one["before"], "after": one["after"]})
    write(folder, "variants.json", entries)
    for name, data in later_families().items():
        write_family(folder, name, data, texts, rng)
    write(folder, "characters.json", character_counts())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
