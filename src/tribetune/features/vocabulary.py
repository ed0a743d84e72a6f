"""A byte-level vocabulary for the tiny text encoder, in which common English words are one token."""

from typing import Any

_WORDS = """
the of and to a in is it you that he was for on are with as i his they be at one have this from or had by hot but some
what there we can out other were all your when up use word how said an each she which do their time if will way about
many then them would write like so these her long make thing see him two has look more day could go come did my sound
no most number who over know water than call first people may down side been now find any new work part take get place
made live where after back little only round man year came show every good me give our under name very through just
form much great think say help low line before turn cause same mean differ move right boy old too does tell sentence
set three want air well also play small end put home read hand port large spell add even land here must big high such
follow act why ask men change went light kind off need house picture try us again animal point mother world near build
self earth father head stand own page should country found answer school grow study still learn plant cover food sun
four thought let keep eye never last door between city tree cross since hard start might story saw far sea draw left
late run while press close night real life few stop open seem together next white children begin got walk example ease
paper often always music those both mark book letter until mile river car feet care second group carry took rain eat
room friend began idea fish mountain north once base hear horse cut sure watch color face wood main enough plain girl
usual young ready above ever red list though feel talk bird soon body dog family direct pose leave song measure state
product black short numeral class wind question happen complete ship area half rock order fire south problem piece
told knew pass farm top whole king size heard best hour better true during hundred am remember step early hold west
ground interest reach fast five sing listen six table travel less morning ten simple several toward war lay against
pattern slow center love person money serve appear road map science rule govern pull cold notice voice fall power town
fine certain fly unit lead cry dark machine note wait plan figure star box noun field rest correct able pound done
beauty drive stood contain front teach week final gave green quick develop sleep warm free minute strong special mind
behind clear tail produce fact street inch lot nothing course stay wheel full force blue object decide surface deep
moon island foot yet busy test record boat common gold possible plane age dry wonder laugh thousand ago ran check game
shape yes cool miss brought heat snow bed bring sit perhaps fill east weight language among alice rabbit queen cat hat
tea garden key bottle window wall hall glass mouse poor dear quite woman hair mouth arm leg heart blood tear smile
anger fear happy sad stone bridge hill forest lake flower leaf grass sky cloud storm thunder ice dust sand shore wave
wing bear wolf lion tiger fox sheep cow pig hen duck snake frog bee ant knife spoon cup plate bread milk meat salt
sugar apple bell drum clock lamp candle chair bag coat shoe ring crown sword
""".split()  # noqa: SIM905 - a page of quotes would not be read

_N_CAPITALISED = 150
_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>")


def tokenizer_json() -> dict[str, Any]:
    """Content of a ``tokenizer.json``: bytes, and merges that spell common words letter by letter.

    Every merge starts at a word's first letter, so none can take a letter from another word: a common word becomes one
    token, any other word its longest known beginning followed by bytes.
    """
    alphabet = byte_alphabet()
    vocab = dict.fromkeys([*_SPECIAL, *alphabet])
    merges: dict[tuple[str, str], None] = {}
    blank = alphabet[ord(" ")]
    for word in [*_WORDS, *(word.capitalize() for word in _WORDS[:_N_CAPITALISED])]:
        token = blank
        for letter in word:
            merges[token, letter] = None
            token += letter
            vocab[token] = None
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name, **special} for number, name in enumerate(_SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(vocab)},
            "merges": [list(pair) for pair in merges],
        },
    }


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in byte-level vocabularies (GPT-2's convention)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    stands_for = {byte: chr(byte) for byte in printable} | {byte: chr(256 + k) for k, byte in enumerate(others)}
    return [stands_for[byte] for byte in range(256)]
