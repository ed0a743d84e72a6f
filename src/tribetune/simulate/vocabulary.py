"""The words of a simulated story: categories of meaning, topics that favour some of them, and sentence templates."""

WORDS: dict[str, tuple[str, ...]] = {
    name: tuple(words.split())
    for name, words in {
        "people": "mother father sister brother doctor teacher farmer sailor child woman man girl boy neighbour "
        "friend queen king soldier baker judge singer nurse uncle aunt stranger captain painter student "
        "widow guard",
        "places": "house kitchen garden street village city school church market bridge tower station harbour "
        "valley forest castle office library square room cellar attic island road corner stable theatre "
        "hospital park shore",
        "tools": "hammer knife saw rope ladder bucket needle wheel lamp key lock shovel axe brush basket hook pot "
        "nail scissors spoon drill wrench chain anchor broom candle mirror clock pen bell",
        "food": "bread cheese apple soup milk honey butter egg potato cake wine fish rice onion salt sugar pepper "
        "carrot cherry plum nut bean meat tea coffee pear lemon garlic porridge jam",
        "animals": "dog cat horse cow sheep goat bird owl fox wolf bear rabbit mouse duck goose hen pig donkey deer "
        "crow frog snake bee spider whale trout lion mule swan hawk",
        "body": "hand arm leg foot head eye ear nose mouth finger shoulder knee back heart skin hair tooth tongue "
        "neck chest elbow ankle wrist stomach throat bone blood chin cheek lip",
        "emotion": "happy sad angry afraid proud ashamed lonely jealous calm anxious cheerful bitter gentle furious "
        "hopeful grateful guilty tender worried delighted miserable nervous excited weary content upset "
        "scared joyful gloomy brave",
        "motion": "ran walked jumped climbed fell crawled danced swam flew rode rushed turned marched slipped "
        "stumbled leapt rolled chased galloped wandered hurried sailed drifted raced bounced skipped slid "
        "strolled charged fled",
        "numbers": "one two three four five six seven eight nine ten twelve twenty thirty forty fifty hundred "
        "thousand dozen half double first second third fourth last hour minute day week year",
        "nature": "rain snow wind storm cloud sun moon star river lake sea hill mountain tree leaf flower grass "
        "stone sand wave thunder frost mist ice sky root branch meadow cave fire",
        "speech": "said asked told called whispered shouted answered promised sang cried explained replied begged "
        "laughed warned argued swore confessed announced joked complained praised thanked greeted lied "
        "read spoke boasted mumbled screamed",
        "thought": "thought knew believed remembered forgot wondered dreamed hoped guessed understood decided "
        "imagined doubted noticed planned wished learned realised meant trusted considered expected "
        "recalled supposed suspected judged chose feared wanted intended",
    }.items()
}
"""Twelve categories of thirty content words."""

CATEGORIES: tuple[str, ...] = tuple(WORDS)

TOPICS: dict[str, dict[str, float]] = {
    "market": {"food": 1.0, "numbers": 0.8, "people": 0.5, "speech": 0.4},
    "workshop": {"tools": 1.0, "body": 0.6, "people": 0.4, "thought": 0.3},
    "journey": {"places": 1.0, "motion": 1.0, "nature": 0.5},
    "farm": {"animals": 1.0, "nature": 0.6, "food": 0.5, "motion": 0.4},
    "quarrel": {"emotion": 1.0, "speech": 1.0, "people": 0.8},
    "illness": {"body": 1.0, "emotion": 0.7, "people": 0.5, "numbers": 0.3},
    "storm": {"nature": 1.0, "motion": 0.7, "emotion": 0.4, "places": 0.4},
    "memory": {"thought": 1.0, "people": 0.6, "places": 0.5, "emotion": 0.5},
    "party": {"people": 1.0, "food": 0.7, "speech": 0.6, "motion": 0.5},
}
"""How much each topic is about each category; the rest has a small weight."""

TEMPLATES: tuple[str, ...] = (
    "the PEOPLE MOTION to the PLACES with a TOOLS",
    "then the PEOPLE SPEECH that the FOOD was for the PEOPLE",
    "there were NUMBERS ANIMALS near the PLACES",
    "she THOUGHT about the PEOPLE in the PLACES",
    "he was EMOTION because the ANIMALS had MOTION away",
    "the NATURE and the NATURE were over the PLACES",
    "and the PEOPLE felt EMOTION and EMOTION",
    "his BODY and his BODY hurt for NUMBERS days",
    "they bought FOOD and FOOD for NUMBERS coins",
    "with the TOOLS and the TOOLS he made a TOOLS",
    "the ANIMALS MOTION through the NATURE",
    "you are too EMOTION SPEECH the PEOPLE to her PEOPLE",
    "I never THOUGHT that the PLACES was so EMOTION",
    "the PEOPLE put the FOOD on the table and SPEECH",
    "she took his BODY and SPEECH and was EMOTION",
    "after NUMBERS hours the NATURE came and they MOTION",
    "at the PLACES the PEOPLE had a ANIMALS and a ANIMALS",
    "but nobody THOUGHT what the PEOPLE had SPEECH",
    "he cut the FOOD with a TOOLS for the ANIMALS",
    "from the PLACES to the PLACES they MOTION and MOTION",
    "it was the NUMBERS time that the PEOPLE THOUGHT of it",
    "her BODY was cold from the NATURE",
    "we MOTION under the NATURE until the NATURE was gone",
    "the EMOTION PEOPLE SPEECH and the EMOTION PEOPLE SPEECH",
    "this TOOLS is older than the PLACES SPEECH the PEOPLE",
    "in the morning the ANIMALS and the ANIMALS ate the FOOD",
    "what do you want SPEECH the PEOPLE",
    "no one THOUGHT or THOUGHT anything",
    "all of them MOTION",
    "the PEOPLE had NUMBERS FOOD in the TOOLS",
)
"""Sentences with a slot for each category, in capitals."""


def is_slot(word: str) -> bool:
    """Whether a word of a template is to be filled from a category."""
    return word.isupper() and word.lower() in WORDS
