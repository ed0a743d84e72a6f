"""The model hub through its own client: ids, what is fetched into its cache, what is sent, its errors in our words."""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tribetune.errors import TribetuneError

_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([A-Za-z0-9][\w./-]*))?")


@dataclass(frozen=True)
class HubId:
    """A repository of models on the hub.

    Attributes
    ----------
    name : str
        ``owner/name``.
    revision : str or None
        A commit, tag or branch; None: the newest.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


@dataclass(frozen=True)
class Cargo:
    """How files are sent.

    Attributes
    ----------
    private : bool
        Whether others may not see them.
    note : str
        The commit's message.
    replaces : tuple of str
        Files of an earlier commit that go when they are not sent again.
    never_beside : tuple of str
        Files of something else, beside which these do not belong.
    """

    private: bool
    note: str
    replaces: tuple[str, ...] = ()
    never_beside: tuple[str, ...] = ()


def hub_id(text: str) -> HubId | None:
    """Read ``owner/name`` or ``owner/name@revision``; None where it is neither."""
    found = _ID.fullmatch(text)
    return HubId(found[1], found[2]) if found and ".." not in text else None


def fetch(where: HubId, names: Sequence[str], error: type[TribetuneError]) -> Path:
    """Fetch files into the hub's cache; whole files that are there already are not fetched again.

    Parameters
    ----------
    where : HubId
    names : sequence of str
        Exact names of the files that are wanted; what the repository does not have is left out.
    error : type of TribetuneError
        To raise.

    Returns
    -------
    Path
        The snapshot's folder, named by its commit.

    Raises
    ------
    TribetuneError
        Of the given type, if there is no such repository or revision, or it is neither cached nor to be reached.
    """
    from huggingface_hub import snapshot_download

    with told_as(error, where):
        return Path(
            snapshot_download(where.name, revision=where.revision, allow_patterns=list(names), library_name="tribetune")
        )


def send(where: HubId, files: Mapping[str, Path], error: type[TribetuneError], cargo: Cargo) -> str:
    """Send files in one commit, making the repository where there is none; what is there already is not sent again.

    Parameters
    ----------
    where : HubId
        Without a revision.
    files : mapping of name in the repository to Path
    error : type of TribetuneError
        To raise.
    cargo : Cargo

    Returns
    -------
    str
        The commit.

    Raises
    ------
    TribetuneError
        Of the given type, if the hub refuses, the repository is public where a private one is wanted, or it holds
        something of another kind.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(library_name="tribetune")
    with told_as(error, where):
        api.create_repo(where.name, private=cargo.private, exist_ok=True)
        there = api.model_info(where.name)
        if cargo.private and not there.private:
            raise error(
                f"{where} is public, and this was to be private", hint="choose another name, or make it private first"
            )
        names = {sibling.rfilename for sibling in there.siblings or []}
        if foreign := sorted(names & set(cargo.never_beside)):
            raise error(f"{where} holds something else: {foreign[0]}", hint="choose another name")
        operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        removals = [CommitOperationDelete(name) for name in sorted(set(cargo.replaces) & names - set(files))]
        return api.create_commit(where.name, [*operations, *removals], commit_message=cargo.note).oid


def source_of(path: Path) -> HubId | None:
    """The repository and commit that a folder of the hub's cache is a snapshot of; None for any other folder."""
    name, commit = path.parent.parent.name, path.name
    if path.parent.name != "snapshots" or not name.startswith("models--"):
        return None
    return HubId(name.removeprefix("models--").replace("--", "/", 1), commit)


@contextmanager
def told_as(error: type[TribetuneError], what: object) -> Generator[None]:
    """Tell what the client raises as an error of ours, with what mends it; a full disk stays what it is."""
    from huggingface_hub import errors as hub

    try:
        yield
    except hub.GatedRepoError as fault:
        hint = "accept its terms on its page of the hub, then: hf auth login"
        raise error(f"{what}: access is granted on request only", hint=hint) from fault
    except hub.RepositoryNotFoundError as fault:
        hint = "check the name; for a private one: hf auth login"
        raise error(f"{what}: the hub has no such repository, or it is private", hint=hint) from fault
    except hub.RevisionNotFoundError as fault:
        raise error(f"{what}: the repository has no such revision", hint="leave out @… for the newest") from fault
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled) as fault:
        hint = "go online once (HF_HUB_OFFLINE=0), or copy the folder here and give its path"
        raise error(f"{what}: not in the cache, and the hub is not to be reached", hint=hint) from fault
    except (hub.HTTPError, hub.LocalTokenNotFoundError, RuntimeError) as fault:
        raise error(
            f"{what}: {_reason(fault)}", hint="the same command continues; is the token right? hf auth whoami"
        ) from fault
    except (hub.HFValidationError, ValueError) as fault:
        raise error(f"{what}: {fault}", hint="an id is ORGANISATION/NAME") from fault


def _reason(fault: BaseException) -> str:
    """The innermost cause: the client wraps failed uploads."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    return " ".join(str(fault).split())[:300] or type(fault).__name__
