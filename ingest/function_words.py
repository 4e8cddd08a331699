"""The English function words that make a token a `function` token (METHODS 9).

Case-folded. Besides whole words the list holds the pieces that tokenizers cut contractions into,
with both apostrophes. Words that are mostly content words (`like`, `round`, `past`) are left out.
"""

_ARTICLES_AND_DETERMINERS = """
a an the this that these those each every either neither some any no all both half such another
other others same own much many more most few fewer less least several enough
"""
_PRONOUNS = """
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself
she her hers herself it its itself they them their theirs themselves one oneself who whom whose
which what whoever whomever whichever whatever someone somebody something anyone anybody anything
everyone everybody everything none nobody nothing thou thee thy
"""
_PREPOSITIONS = """
about above across after against along alongside amid amidst among amongst around as at before
behind below beneath beside besides between beyond by despite down during except for from in inside
into near of off on onto out outside over per since than through throughout till to toward towards
under underneath unlike until unto up upon versus via with within without
"""
_CONJUNCTIONS = """
and but or nor so yet if because although though unless while whilst whereas whether lest
when whenever where wherever whereby wherein why how however
"""
_AUXILIARIES = """
am is are was were be been being do does did doing done have has had having will would shall should
can could may might must ought cannot
"""
_PARTICLES = """
not never n't too also just only even very quite rather then there here thus hence therefore
again ever away else o'clock
"""
_CONTRACTED_PIECES = """
's 't 're 've 'm 'll 'd 'em ain aren couldn didn doesn hadn hasn isn mustn needn shouldn
wasn weren wouldn
"""
_CONTRACTIONS = """
i'm i've i'd i'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's it'd it'll
we're we've we'd we'll they're they've they'd they'll that's that'd that'll there's here's
who's what's where's how's isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't
won't wouldn't shan't shouldn't can't couldn't mustn't mightn't needn't ain't
"""

_STRAIGHT = " ".join(
    (
        _ARTICLES_AND_DETERMINERS,
        _PRONOUNS,
        _PREPOSITIONS,
        _CONJUNCTIONS,
        _AUXILIARIES,
        _PARTICLES,
        _CONTRACTED_PIECES,
        _CONTRACTIONS,
    )
)
_CURLY = _STRAIGHT.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
FUNCTION_WORDS = frozenset(f"{_STRAIGHT} {_CURLY}".split())
