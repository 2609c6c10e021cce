"""English words for the exercises on letters and for made-up sentences."""

from random import Random

WORDS = (
    "stone apple river cloud table mouse queue worker stream token model python django celery redis server "
    "orange banana cherry lemon tiger horse zebra bread butter sugar pepper green yellow purple silver planet "
    "rocket engine window garden summer winter spring autumn letter number simple little circle square people "
    "friend family school doctor driver farmer market island forest desert bridge castle house light night "
    "water paper money music phone chair plant ocean beach storm cat dog sun sky tree book cake milk fish bird "
    "frog lion wolf bear duck goat ship road door lamp ring star moon snow rain strawberry blueberry raspberry "
    "mississippi committee balloon coffee letterbox bookkeeper success address hello world computer keyboard "
    "mountain valley village teacher student library picture camera history science weather morning evening "
    "question answer problem solution reason thought deep seek open source web site chat message history title "
    "happy angry quiet loud quick slow heavy clean dirty early late north south east west left right above "
    "below before after always never maybe often today tomorrow yesterday minute second hour month year "
    "century million thousand hundred seven eight nine ten eleven twelve carrot potato tomato onion garlic "
    "cheese yogurt pasta pizza burger soup salad cookie chocolate vanilla kitchen bedroom bathroom ceiling "
    "floor carpet curtain mirror pillow blanket shirt trousers jacket sweater gloves scarf boots sandals "
    "football tennis hockey soccer running swimming dancing singing painting drawing reading writing walking "
    "elephant giraffe monkey penguin dolphin whale shark spider butterfly beetle ant bee eagle owl parrot "
    "guitar piano violin trumpet drum flute diamond emerald ruby copper iron steel wood glass plastic cotton "
    "airplane bicycle train tractor truck engineer lawyer nurse painter writer singer actor baker pilot"
).split()

ONSETS = "b c d f g h k l m n p r s t v w z bl br ch cl cr dr fl fr gr pl pr sh sl sp st th tr qu j y".split()
VOWELS = "a e i o u a e i o ee oo ai ou ea".split()
CODAS = ["", "", "", "n", "r", "s", "t", "l", "m", "d", "ck", "ng", "st", "ll", "p", "x"]


def made_up_word(rng: Random) -> str:
    """Build a word of one to three syllables, so that letters are learned and not words."""
    syllables = rng.choices([1, 2, 3], [3, 5, 2])[0]
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
