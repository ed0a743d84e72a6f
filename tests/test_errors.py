from tribetune import errors


def test_every_error_keeps_its_hint_and_is_a_tribetune_error():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 9
    for kind in kinds:
        error = kind("what", hint="how")
        assert isinstance(error, errors.TribetuneError)
        assert (str(error), error.hint) == ("what", "how")
