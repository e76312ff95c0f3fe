"""Writes the training corpus of minnow: conversations and prose on a few dozen topics, composed from sentences that we
wrote ourselves (topics_*.py). Deterministic for a seed. One document a line, as JSON: {"messages": [...]} or {"text": ...}.

    python corpus.py OUTPUT_FOLDER [--documents 400000]     writes train.jsonl and heldout.jsonl
"""
import argparse
import hashlib
import json
import pathlib
import random

import topics_a
import topics_b
import topics_c

TOPICS = {**topics_a.TOPICS, **topics_b.TOPICS, **topics_c.TOPICS}
PARTS = ["what", "how", "why", "example", "advice", "image"]

QUESTIONS = {
    "any": ["Tell me about {t}.", "tell me about {t}", "Please tell me about {t}.", "Can you tell me about {t}?",
            "What can you tell me about {t}?", "Tell me something about {t}.", "Talk to me about {t}.",
            "I want to know more about {t}.", "I would like to learn about {t}.", "What should I know about {t}?",
            "Could you say something about {t}?", "Let's talk about {t}.", "Write a few sentences about {t}.", "{T}?", "{t}",
            "Tell me about {t}", "Give me a short introduction to {t}."],
    "what": ["What is {t}?", "What are {t}?", "what is {t}", "Explain {t}.", "Explain {t} to me.", "Can you explain {t}?",
             "Can you explain {t} to me?", "What does {t} mean?", "Describe {t}.", "Define {t}.", "Explain {t} in simple words."],
    "how": ["How does {t} work?", "How do {t} work?", "how does {t} work", "Explain how {t} works.", "What happens in {t}?",
            "Can you explain how {t} works?"],
    "why": ["Why does {t} matter?", "Why is {t} important?", "Why are {t} important?", "why is {t} useful", "What is {t} good for?",
            "Why should I care about {t}?", "What are the benefits of {t}?"],
    "example": ["Give me an example of {t}.", "Can you give me an example of {t}?", "What is an example of {t}?",
                "Show me an example of {t}."],
    "advice": ["Do you have advice on {t}?", "Give me some advice about {t}.", "Do you have any tips about {t}?",
               "What should a beginner know about {t}?", "How do I get started with {t}?"],
    "image": ["Write something poetic about {t}.", "Describe {t} in a creative way.", "Tell me a little story about {t}."],
    "opinion": ["What do you think about {t}?", "Do you like {t}?", "What is your opinion of {t}?"],
}
SPECIAL = {  # further questions with the part that answers them first
    "bread": {"how": ["How does bread rise?", "How is bread made?", "How do I bake bread?"]},
    "the weather": {"how": ["Why does it rain?", "Where does the wind come from?"], "any": ["How is the weather?"]},
    "the moon": {"how": ["Why does the moon change its shape?"]},
    "the stars": {"how": ["Why do stars shine?"]},
    "birds": {"how": ["How do birds fly?"]},
    "coffee": {"how": ["How do I make good coffee?"]},
    "bicycles": {"how": ["How does a bicycle stay upright?"]},
    "MPI": {"what": ["What does MPI stand for?"]},
    "sorting": {"how": ["How do I sort a list?"]},
    "sleep": {"advice": ["How can I sleep better?"]},
    "language models": {"how": ["How do language models work?"]},
    "parallel processing": {"how": ["How can I make my program faster?"]},
}

OPEN = {
    "conversational": ["Well, ", "Sure! ", "Good question! ", "Of course! ", "I'm glad you asked. ", "Oh, I like this topic. ",
                       "Let's see. ", "Happy to help! ", "You know, that's a nice question. ", "I'd say it's simple. "],
    "formal": ["", "In general terms, the matter is as follows. ", "This subject deserves a careful answer. ",
               "Allow me to summarise. ", "The essential point may be stated briefly. "],
    "technical": ["", "In short: ", "Here is the core idea. ", "Technically speaking, the idea is simple. ", "Let us be precise. "],
    "creative": ["", "Close your eyes for a moment. ", "Let me paint you a picture. ", "Listen. ", "Here is how I dream of it. "],
    "plain": [""],
}
LINK = {
    "conversational": ["", "", "And you know what? ", "I think that's the nice part. ", "So, ", "Also, ", "Basically, "],
    "formal": ["", "Furthermore, ", "Moreover, ", "In addition, ", "Consequently, ", "It should be noted that "],
    "technical": ["", "In practice, ", "Specifically, ", "In detail, ", "As a rule, "],
    "creative": ["", "", "And then, ", "Softly, "],
    "plain": ["", "", ""],
}
CLOSE = {
    "conversational": ["Does that help?", "Would you like to hear more?", "I hope that helps!", "What do you think?",
                       "Isn't that nice?", "Let me know if you'd like an example!", "I think you'd enjoy it.", ""],
    "formal": ["Therefore, it deserves attention.", "One may conclude that it repays careful study.", "",
               "In conclusion, it is a subject of lasting value.", "Further study is therefore recommended."],
    "technical": ["Measure before you decide.", "", "The details depend on the case at hand.", "That is the principle."],
    "creative": ["And that is where the story begins.", "", "It stays with you like a melody.", "The rest is a quiet wonder."],
    "plain": ["", "", "That is the main idea."],
}
SPOKEN = [("It is ", "It's "), ("That is ", "That's "), ("do not ", "don't "), ("does not ", "doesn't "), ("cannot ", "can't "),
          ("They are ", "They're "), ("You are ", "You're ")]
PLANS = {
    "any": [["what", "how", "why"], ["what", "why", "example"], ["what", "example"], ["what", "how"], ["what", "how", "example"],
            ["what", "why"], ["what", "why", "advice"], ["what", "how", "why", "example"]],
    "what": [["what", "how"], ["what", "example"], ["what", "why"], ["what", "how", "example"], ["what", "what2", "example"]],
    "how": [["how", "how2"], ["how", "example"], ["how", "how2", "example"], ["how", "why"], ["what", "how"], ["how", "advice"]],
    "why": [["why", "why2"], ["why", "example"], ["why", "why2", "example"], ["what", "why"]],
    "example": [["example"], ["example", "how"], ["example", "example2"], ["example", "why"]],
    "advice": [["advice", "advice2"], ["advice"], ["advice", "example"], ["advice", "advice2", "why"]],
    "image": [["image"], ["image", "what"], ["image", "image2"], ["image", "why"]],
    "opinion": [["why", "why2"], ["why", "example"], ["why", "image"]],
}
OPINION_OPEN = ["I like it a lot. ", "I think it is fascinating. ", "I am a small model, but I find it interesting. ",
                "I have a good opinion of it. "]
FOLLOW_UPS = {
    "example": ["Can you give me an example?", "Give me an example.", "For example?", "An example, please."],
    "why": ["Why?", "Why is that important?", "Why does it matter?"],
    "how": ["How does it work?", "How?", "And how does that work?"],
    "advice": ["Do you have any advice?", "Any tips?", "What should I do first?"],
    "any": ["Tell me more.", "Go on.", "Can you tell me more?", "More, please."],
}
SMALL_TALK = [
    (["hello", "Hello", "Hello!", "hi", "Hi", "Hi!", "Hi there!", "hey", "Good morning.", "Good evening."],
     ["Hello! How can I help you today?", "Hi there! What would you like to talk about?", "Hello! It's nice to meet you. What shall we talk about?",
      "Hi! Ask me about computing, nature or everyday things.", "Good day! I am happy to answer a question."]),
    (["Who are you?", "who are you", "What are you?", "What is your name?", "Tell me about yourself."],
     ["I am Minnow, a small language model that comes with Shoal. I know a few dozen topics and like short questions.",
      "My name is Minnow. I am a small language model, and many copies of me can swim together as particles.",
      "I'm Minnow, the small model that ships with Shoal. Ask me about parallel processing, bread or the moon!"]),
    (["What can you do?", "what can you do", "How can you help me?", "What do you know?", "Help"],
     ["I can answer short questions on computing, nature and everyday life. Try asking me about particle filters or coffee.",
      "I can tell you about a few dozen topics, from sorting to sleep. What would you like to know?",
      "I know a little about computers, cooking, animals and the sky. Ask me a short question, and I will do my best."]),
    (["Thank you!", "thanks", "Thanks!", "Thank you very much.", "That was helpful."],
     ["You're welcome!", "You are welcome! Is there anything else?", "My pleasure! Ask me again whenever you like.", "Gladly! Have a good day."]),
    (["How are you?", "how are you", "How are you today?", "How do you do?"],
     ["I'm well, thank you! How are you?", "I am fine, thank you for asking. What shall we talk about?", "Very well, thanks! How can I help you?"]),
    (["bye", "Goodbye.", "Bye!", "See you later.", "Good night."],
     ["Goodbye! Come back soon.", "See you later! Have a nice day.", "Bye! It was nice to talk to you.", "Good night! Sleep well."]),
    (["What is Shoal?", "Tell me about Shoal.", "what is shoal", "How does Shoal work?", "Explain Shoal."],
     ["Shoal steers language models with many particles at once. The particles are spread over the ranks of a cluster, and the good ones are copied.",
      "Shoal is a program that steers a language model by sequential Monte Carlo. It runs under MPI, and every particle is a partial text.",
      "Shoal answers a prompt with a swarm of weighted texts. After every few tokens it drops the weak ones and copies the strong ones."]),
]
UNKNOWN = ["tax law", "ice hockey", "the stock market", "opera singers", "volcanoes", "chess openings", "fashion", "car engines",
           "ancient Rome", "photography", "football", "dentists", "the price of gold", "Japanese poetry", "skateboards", "beetles",
           "perfume", "the French language", "radio", "sailing", "knitting", "whisky", "helicopters", "shoes", "elections"]
UNKNOWN_ANSWERS = ["I do not know much about {t}, but I can tell you about computing, nature and everyday life.",
                   "I'm sorry, I know very little about {t}. Would you like to hear about parallel processing instead?",
                   "That is outside of what I have learned. I would rather not guess about {t}.",
                   "I'm a small model, and {t} is not among my topics. Ask me about coffee, cats or compilers!"]


def spoken(sentence, rng):
    for long, short in SPOKEN:
        if rng.random() < 0.7:
            sentence = sentence.replace(long, short)
    return sentence


def lower_first(sentence):
    keep = ("MPI", "GPU", "I ", "I'm", "Orion", "Bayes", "Africa")
    return sentence if sentence.startswith(keep) else sentence[0].lower() + sentence[1:]


def sentences(topic, plan, register, rng):
    chosen, used = [], {}
    for part in plan:
        kind = part.rstrip("2")
        options = [s for s in topic[kind] if s not in used.get(kind, [])]
        sentence = rng.choice(options)
        used.setdefault(kind, []).append(sentence)
        chosen.append((kind, sentence))
    if register == "creative" and not any(k == "image" for k, _ in chosen):
        chosen.insert(rng.choice([0, len(chosen)]), ("image", rng.choice(topic["image"])))
    return chosen


def compose(topic, kind, register, rng):
    """One answer: opening, two to four sentences, closing."""
    chosen = sentences(topic, rng.choice(PLANS[kind]), register, rng)
    opening = rng.choice(OPINION_OPEN) if kind == "opinion" else rng.choice(OPEN[register])
    out = opening
    for i, (part, sentence) in enumerate(chosen):
        link = rng.choice(LINK[register]) if i > 0 and part not in ("example", "advice", "image") else ""
        if link.endswith("? ") or link.endswith(". "):
            pass
        elif link or (i == 0 and opening.endswith((", ", ": "))):
            sentence = lower_first(sentence)
        if register == "conversational":
            sentence = spoken(sentence, rng)
        out += link + sentence + ". "
    return (out + rng.choice(CLOSE[register])).strip()


REGISTERS = ["conversational", "formal", "technical", "creative", "plain"]
WEIGHTS = [0.3, 0.15, 0.15, 0.12, 0.28]


def question(name, topic, kind, rng):
    special = SPECIAL.get(name, {}).get(kind, [])
    if special and rng.random() < 0.25:
        return rng.choice(special)
    text = rng.choice(topic["names"])
    form = rng.choice(QUESTIONS[kind])
    return form.format(t=text, T=text[0].upper() + text[1:])


def small_talk(rng):
    if rng.random() < 0.35:
        topic = rng.choice(UNKNOWN)
        ask = rng.choice(QUESTIONS["any"] + QUESTIONS["what"]).format(t=topic, T=topic[0].upper() + topic[1:])
        return ask, rng.choice(UNKNOWN_ANSWERS).format(t=topic)
    asks, answers = rng.choice(SMALL_TALK)
    return rng.choice(asks), rng.choice(answers)


def turn(ask, answer):
    return [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]


def conversation(rng):
    messages = []
    if rng.random() < 0.15:
        messages.append({"role": "system", "content": rng.choice(
            ["You are a helpful assistant.", "A conversational AI assistant", "You are Minnow.", "Answer briefly."])})
    if rng.random() < 0.12:
        messages += turn(*small_talk(rng))
        if rng.random() < 0.5:
            return {"messages": messages}
    name = rng.choice(sorted(TOPICS))
    topic = TOPICS[name]
    register = rng.choices(REGISTERS, WEIGHTS)[0]
    kind = rng.choices(list(QUESTIONS), [6, 4, 2.5, 2, 1.2, 1.5, 0.8, 0.8])[0]
    if kind == "image":
        register = "creative"
    messages += turn(question(name, topic, kind, rng), compose(topic, kind, register, rng))
    while rng.random() < 0.2:
        kind = rng.choice(sorted(FOLLOW_UPS))
        messages += turn(rng.choice(FOLLOW_UPS[kind]), compose(topic, kind, register, rng))
    return {"messages": messages}


def prose(rng):
    name = rng.choice(sorted(TOPICS))
    register = rng.choice(["plain", "formal", "technical", "creative"])
    first = compose(TOPICS[name], "any", register, rng)
    return {"text": first if rng.random() < 0.6 else first + " " + compose(TOPICS[name], "advice", "plain", rng)}


def document(rng):
    return prose(rng) if rng.random() < 0.08 else conversation(rng)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=400000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    with open(arguments.folder / "train.jsonl", "w") as train, open(arguments.folder / "heldout.jsonl", "w") as heldout:
        while len(seen) < arguments.documents:
            line = json.dumps(document(rng), ensure_ascii=False)
            key = hashlib.blake2b(line.encode(), digest_size=8).digest()
            if key in seen:
                if len(line) < 400:  # greetings repeat; long documents never do
                    train.write(line + "\n")
                    seen.add(key + bytes([rng.randrange(256), rng.randrange(256), rng.randrange(256)]))
                continue
            seen.add(key)
            (heldout if key[0] < 1 else train).write(line + "\n")


if __name__ == "__main__":
    main()
