import pytest
from transformers import PreTrainedTokenizerFast

from ingest.chats import pack_messages
from ingest.corpora import Corpus
from ingest.settings import StreamSettings
from ingest.streams import build_stream
from store.errors import InputError
from tests.ingest.test_streams import TOKENIZER, fast, tiny_backend, tiny_tokenizer

Chat = list[dict[str, str]]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}the{% endif %}"
)
CHATS: list[Chat] = [
    [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat on\nthe mat"}],
    [{"role": "user", "content": "a <|im_end|> é🙂"}],
]


def chat_tokenizer(template: str = CHATML, **names: object) -> PreTrainedTokenizerFast:
    tokenizer = fast(tiny_backend(), bos_token="<s>", eos_token="</s>", **names)
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.chat_template = template
    return tokenizer


def corpus_of(*chats: Chat) -> Corpus:
    return Corpus("talk", "talk.jsonl", [pack_messages(chat, "x") for chat in chats], chat=True)


@pytest.mark.parametrize("splits", [False, True])
def test_a_chat_has_the_ids_of_its_template(splits: bool) -> None:
    tokenizer = chat_tokenizer(split_special_tokens=splits)
    wanted = chat_tokenizer().apply_chat_template(CHATS, tokenize=True, return_dict=False)
    first = tokenizer.convert_tokens_to_ids("<|im_start|>")
    choices = StreamSettings(join="documents")
    for number, ids in enumerate(wanted):
        corpus = corpus_of(*CHATS[number:])
        stream = build_stream(tokenizer, corpus, choices, len(ids))
        assert stream.token_ids.tolist() == ids
        assert ids.count(first) == len(CHATS[number])
        assert stream.document.tolist() == [0] * len(ids)


def test_chats_are_joined_by_an_empty_line() -> None:
    tokenizer = chat_tokenizer()
    text = "\n\n".join(str(tokenizer.apply_chat_template(chat, tokenize=False)) for chat in CHATS)
    ids = tokenizer.encode(text, add_special_tokens=False)
    stream = build_stream(tokenizer, corpus_of(*CHATS), StreamSettings(), len(ids))
    assert stream.token_ids.tolist() == ids
    assert sorted(set(stream.document.tolist())) == [0, 1]


def test_a_corpus_of_chats_is_the_same_for_every_tokenizer() -> None:
    assert corpus_of(*CHATS).text_hash == corpus_of(*CHATS).text_hash
    assert "im_start" not in corpus_of(CHATS[0]).text
    other = chat_tokenizer(CHATML.replace("im_end", "im_start"))
    choices = StreamSettings(bos="none")
    streams = [build_stream(t, corpus_of(*CHATS), choices, 4) for t in (chat_tokenizer(), other)]
    assert streams[0].hash != streams[1].hash


def test_a_template_that_writes_bos_gets_no_second_one() -> None:
    tokenizer = tiny_tokenizer(adds_bos=True)
    for template, bos in ((CHATML, "window"), ("{{ bos_token }}" + CHATML, "none")):
        tokenizer.chat_template = template
        assert build_stream(tokenizer, corpus_of(*CHATS), StreamSettings(), 4).bos == bos
    asked = build_stream(tokenizer, corpus_of(*CHATS), StreamSettings(bos="window"), 4)
    assert asked.token_ids[:2].tolist() == [0, 0]


def test_a_tokenizer_without_template_is_refused() -> None:
    said = "talk holds chats, but this model's tokenizer has no chat template; take a model tuned"
    with pytest.raises(InputError, match=said):
        build_stream(TOKENIZER, corpus_of(*CHATS), StreamSettings(), 4)


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('roles must take turns') }}", "{{ messages + 1 }}"]
)
def test_chats_that_the_template_refuses_are_placed(template: str) -> None:
    broken = "{% if messages | length == 1 %}" + template + "{% endif %}" + CHATML
    said = r"talk\.jsonl, chat \d: the tokenizer's chat template refuses the messages \(.+\); leave"
    with pytest.raises(InputError, match=said) as caught:
        build_stream(chat_tokenizer(broken), corpus_of(*CHATS), StreamSettings(bos="none"), 4)
    assert "\n" not in str(caught.value)


def test_a_template_with_an_error_of_syntax_is_blamed_itself() -> None:
    with pytest.raises(InputError) as caught:
        build_stream(chat_tokenizer("a\n{% if %}"), corpus_of(*CHATS), StreamSettings(), 4)
    assert str(caught.value) == (
        "The tokenizer's chat template is broken in line 2 (Expected an expression, got 'end of "
        "statement block'); correct it, or fetch the model's tokenizer again."
    )
