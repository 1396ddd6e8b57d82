"""What kind of character is this? The questions that BERT's tokenizer asks, and RoBERTa's.

The answers must not depend on which Python runs the code. `unicodedata` follows a newer Unicode
with every Python release, while the reference (the Rust crate `tokenizers`, behind every fast
tokenizer of transformers) keeps the character categories of Unicode 8.0. A mark that joined Unicode
later is an unknown character there and an accent here, and the ids would differ. So the categories
are written out below, as ranges of hexadecimal code points. A test asks the reference about every
code point there is and compares.
"""

import itertools
import unicodedata


def _code_points(ranges: str) -> frozenset[int]:
    """Expand a table such as ``"21-2f 3a"`` into the set of its code points."""
    points: set[int] = set()
    for item in ranges.split():
        first, _, last = item.partition("-")
        points.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(points)


# Unicode property White_Space. Python's str.isspace also counts U+001C..U+001F, which lack it.
WHITESPACE = _code_points("9-d 20 85 a0 1680 2000-200a 2028-2029 202f 205f 3000")

# General categories Cc, Cf, Co, with U+FFFD, the sign of broken input. Tab and line ends are
# whitespace to the tokenizer and so are not in the set; unassigned characters are kept as they are.
# The last two lines are the private use areas.
CONTROL = _code_points("""
0-8 b-c e-1f 7f-9f ad 600-605 61c 6dd 70f 180e 200b-200f 202a-202e 2060-2064 2066-206f
e000-f8ff feff fff9-fffb fffd 110bd 1bca0-1bca3 1d173-1d17a e0001 e0020-e007f f0000-ffffd
100000-10fffd
""")

# The blocks of CJK ideographs, whose words are not separated by spaces. The reference tokenizer
# starts the sixth block at 2B920 where Unicode starts it at 2B820; its ids are the ones that count.
CJK = _code_points("3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f")

# General categories P*, with the ASCII symbols $+<=>^`|~ that BERT counts as punctuation.
PUNCTUATION = _code_points("""
21-2f 3a-40 5b-60 7b-7e a1 a7 ab b6-b7 bb bf 37e 387 55a-55f 589-58a 5be 5c0 5c3 5c6 5f3-5f4
609-60a 60c-60d 61b 61e-61f 66a-66d 6d4 700-70d 7f7-7f9 830-83e 85e 964-965 970 af0 df4 e4f
e5a-e5b f04-f12 f14 f3a-f3d f85 fd0-fd4 fd9-fda 104a-104f 10fb 1360-1368 1400 166d-166e
169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17da 1800-180a 1944-1945 1a1e-1a1f 1aa0-1aa6
1aa8-1aad 1b5a-1b60 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 2010-2027 2030-2043
2045-2051 2053-205e 207d-207e 208d-208e 2308-230b 2329-232a 2768-2775 27c5-27c6 27e6-27ef
2983-2998 29d8-29db 29fc-29fd 2cf9-2cfc 2cfe-2cff 2d70 2e00-2e2e 2e30-2e42 3001-3003
3008-3011 3014-301f 3030 303d 30a0 30fb a4fe-a4ff a60d-a60f a673 a67e a6f2-a6f7 a874-a877
a8ce-a8cf a8f8-a8fa a8fc a92e-a92f a95f a9c1-a9cd a9de-a9df aa5c-aa5f aade-aadf aaf0-aaf1
abeb fd3e-fd3f fe10-fe19 fe30-fe52 fe54-fe61 fe63 fe68 fe6a-fe6b ff01-ff03 ff05-ff0a
ff0c-ff0f ff1a-ff1b ff1f-ff20 ff3b-ff3d ff3f ff5b ff5d ff5f-ff65 10100-10102 1039f 103d0
1056f 10857 1091f 1093f 10a50-10a58 10a7f 10af0-10af6 10b39-10b3f 10b99-10b9c 11047-1104d
110bb-110bc 110be-110c1 11140-11143 11174-11175 111c5-111c9 111cd 111db 111dd-111df
11238-1123d 112a9 114c6 115c1-115d7 11641-11643 1173c-1173e 12470-12474 16a6e-16a6f 16af5
16b37-16b3b 16b44 1bc9f 1da87-1da8b
""")

# General category Mn: marks that sit on another letter, such as U+0301, the acute accent.
ACCENTS = _code_points("""
300-36f 483-487 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 610-61a 64b-65f 670 6d6-6dc 6df-6e4 6e7-6e8
6ea-6ed 711 730-74a 7a6-7b0 7eb-7f3 816-819 81b-823 825-827 829-82d 859-85b 8e3-902 93a 93c
941-948 94d 951-957 962-963 981 9bc 9c1-9c4 9cd 9e2-9e3 a01-a02 a3c a41-a42 a47-a48 a4b-a4d
a51 a70-a71 a75 a81-a82 abc ac1-ac5 ac7-ac8 acd ae2-ae3 b01 b3c b3f b41-b44 b4d b56 b62-b63
b82 bc0 bcd c00 c3e-c40 c46-c48 c4a-c4d c55-c56 c62-c63 c81 cbc cbf cc6 ccc-ccd ce2-ce3 d01
d41-d44 d4d d62-d63 dca dd2-dd4 dd6 e31 e34-e3a e47-e4e eb1 eb4-eb9 ebb-ebc ec8-ecd f18-f19
f35 f37 f39 f71-f7e f80-f84 f86-f87 f8d-f97 f99-fbc fc6 102d-1030 1032-1037 1039-103a
103d-103e 1058-1059 105e-1060 1071-1074 1082 1085-1086 108d 109d 135d-135f 1712-1714
1732-1734 1752-1753 1772-1773 17b4-17b5 17b7-17bd 17c6 17c9-17d3 17dd 180b-180d 18a9
1920-1922 1927-1928 1932 1939-193b 1a17-1a18 1a1b 1a56 1a58-1a5e 1a60 1a62 1a65-1a6c
1a73-1a7c 1a7f 1ab0-1abd 1b00-1b03 1b34 1b36-1b3a 1b3c 1b42 1b6b-1b73 1b80-1b81 1ba2-1ba5
1ba8-1ba9 1bab-1bad 1be6 1be8-1be9 1bed 1bef-1bf1 1c2c-1c33 1c36-1c37 1cd0-1cd2 1cd4-1ce0
1ce2-1ce8 1ced 1cf4 1cf8-1cf9 1dc0-1df5 1dfc-1dff 20d0-20dc 20e1 20e5-20f0 2cef-2cf1 2d7f
2de0-2dff 302a-302d 3099-309a a66f a674-a67d a69e-a69f a6f0-a6f1 a802 a806 a80b a825-a826
a8c4 a8e0-a8f1 a926-a92d a947-a951 a980-a982 a9b3 a9b6-a9b9 a9bc a9e5 aa29-aa2e aa31-aa32
aa35-aa36 aa43 aa4c aa7c aab0 aab2-aab4 aab7-aab8 aabe-aabf aac1 aaec-aaed aaf6 abe5 abe8
abed fb1e fe00-fe0f fe20-fe2f 101fd 102e0 10376-1037a 10a01-10a03 10a05-10a06 10a0c-10a0f
10a38-10a3a 10a3f 10ae5-10ae6 11001 11038-11046 1107f-11081 110b3-110b6 110b9-110ba
11100-11102 11127-1112b 1112d-11134 11173 11180-11181 111b6-111be 111ca-111cc 1122f-11231
11234 11236-11237 112df 112e3-112ea 11300-11301 1133c 11340 11366-1136c 11370-11374
114b3-114b8 114ba 114bf-114c0 114c2-114c3 115b2-115b5 115bc-115bd 115bf-115c0 115dc-115dd
11633-1163a 1163d 1163f-11640 116ab 116ad 116b0-116b5 116b7 1171d-1171f 11722-11725
11727-1172b 16af0-16af4 16b30-16b36 16f8f-16f92 1bc9d-1bc9e 1d167-1d169 1d17b-1d182
1d185-1d18b 1d1aa-1d1ad 1d242-1d244 1da00-1da36 1da3b-1da6c 1da75 1da84 1da9b-1da9f
1daa1-1daaf 1e8d0-1e8d6 e0100-e01ef
""")

# Decomposition in the reference follows Unicode 9.0: these marks are not accents to it, but it
# knows their place among the marks on a letter.
_MARKS_OF_UNICODE_9 = _code_points("""
8d4-8e1 1dfb 11442 11446 11c3f 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a
1e944-1e94a
""")

# Spacing marks with a place among the others, by later versions of Unicode only.
_LATER_SPACING_MARKS = _code_points("1715 1193d 11f41 16ff0-16ff1")

# Letters whose decomposition joined Unicode after the reference's tables were made.
_LATER_DECOMPOSITIONS = _code_points(
    "105c9 105e4 11383 11385 1138e 11391 113c5 113c7-113c8 11938 16121-16128 16d68-16d6a"
)

# Lower-casing, in contrast, follows the newest Unicode in the reference: Python 3.11 does not know
# these pairs of letters.
_LATER_LOWERCASE = {
    **dict(zip(range(0x10D50, 0x10D66), range(0x10D70, 0x10D86), strict=True)),
    **dict(zip(range(0x16EA0, 0x16EB9), range(0x16EBB, 0x16ED4), strict=True)),
    0x1C89: 0x1C8A,
    0xA7CB: 0x0264,
    0xA7CC: 0xA7CD,
    0xA7CE: 0xA7CF,
    0xA7D2: 0xA7D3,
    0xA7D4: 0xA7D5,
    0xA7DA: 0xA7DB,
    0xA7DC: 0x019B,
}


# RoBERTa's tokenizer asks for letters and digits, the general categories L* and N* of Unicode 16.
# Python 3.11 does not know these.
_LATER_LETTERS = _code_points("""
1c89-1c8a a7cb-a7cd a7da-a7dc 105c0-105f3 10d4a-10d65 10d6f-10d85 10ec2-10ec4 1123f-11240
11380-11389 1138b 1138e 11390-113b5 113b7 113d1 113d3 11bc0-11be0 11f02 11f04-11f10 11f12-11f33
1342f 13441-13446 13460-143fa 16100-1611d 16d40-16d6c 18cff 1b132 1b155 1df25-1df2a 1e030-1e06d
1e4d0-1e4eb 1e5d0-1e5ed 1e5f0 2b739 2ebf0-2ee5d 31350-323af
""")
_LATER_DIGITS = _code_points("""
10d40-10d49 116d0-116e3 11bf0-11bf9 11f50-11f59 16130-16139 16d70-16d79 1ccf0-1ccf9 1d2c0-1d2d3
1e4f0-1e4f9 1e5f1-1e5fa
""")


class _Shapes(dict[int, str]):
    """For `str.translate`: each character as one of ASCII of the same kind, a letter as "a", a
    digit as "0", a space as a tab, anything else as "!". ASCII stays as it is."""

    def __missing__(self, point: int) -> str:
        category = unicodedata.category(chr(point))[0]
        if point < 128:
            shape = chr(point)
        elif point in WHITESPACE:
            shape = "\t"
        elif category == "L" or point in _LATER_LETTERS:
            shape = "a"
        elif category == "N" or point in _LATER_DIGITS:
            shape = "0"
        else:
            shape = "!"
        self[point] = shape
        return shape


SHAPES = _Shapes()


def lowercase(character: str) -> str:
    """Lower-case one character, whatever its neighbours; the result may be longer (U+0130)."""
    later = _LATER_LOWERCASE.get(ord(character))
    return character.lower() if later is None else chr(later)


def decompose(text: str) -> list[tuple[str, int]]:
    """Canonical decomposition (NFD): an accented letter becomes the letter and then its accents.

    Each character of the result comes with the index in `text` that it is counted for. Accents on
    one letter are sorted by combining class. The reference sorts each of them together with a note
    whether it begins a character of the text, and counts those notes; hence the order of steps.
    """
    if text.isascii():
        return list(zip(text, range(len(text)), strict=True))
    parts = [
        (value, place == 0)
        for character in text
        for place, value in enumerate(
            character
            if ord(character) in _LATER_DECOMPOSITIONS
            else unicodedata.normalize("NFD", character)
        )
    ]
    result: list[tuple[str, bool]] = []
    for is_letter, run in itertools.groupby(parts, lambda part: _combining_class(part[0]) == 0):
        marks = list(run)
        result += marks if is_letter else sorted(marks, key=lambda part: _combining_class(part[0]))
    indices = itertools.accumulate(begins for _, begins in result)
    return [(value, count - 1) for (value, _), count in zip(result, indices, strict=True)]


def _combining_class(character: str) -> int:
    """Unicode's rank of a mark among those on one letter; 0 for letters and for later marks."""
    known = ord(character) in ACCENTS or ord(character) in _MARKS_OF_UNICODE_9
    later = not known and unicodedata.category(character) == "Mn"
    later = later or ord(character) in _LATER_SPACING_MARKS
    return 0 if later else unicodedata.combining(character)
