"""What each kind of member says of photographs whose lesion it never saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.training.calibrate import Fit, fit_ensemble, log_loss
from dermtriage_worker.training.cost import gmac

MAX_GMAC = 3.0
MOST_VIEWS = 8


class TooCostly(DermtriageError):
    """Even with one view a member, a photograph costs more than the budget."""

    code = "too_costly"
    remedy = "Train fewer or smaller members."


@torch.inference_mode()
def out_of_fold_logits(
    networks: Sequence[ScoringNetwork],
    squares: Tensor,
    folds: Tensor,
    chunk: int,
    on_progress: Callable[[int, int], None],
) -> dict[str, Tensor]:
    """Score every photograph with the members of its fold, one dihedral view after the other.

    Parameters
    ----------
    networks
        A member of each kind for each fold.
    squares
        Prepared photographs, uint8, shape (n, 3, s, s).
    folds
        Fold of each photograph, shape (n,).
    chunk
        Photographs a forward pass.
    on_progress
        Called with the members that are done, and all.

    Returns
    -------
    dict
        For each kind the logits, float64, shape (views, n, 7), of as many views as it may get.

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    most = affordable_views([network.member for network in networks])
    said: dict[str, Tensor] = {}
    for done, network in enumerate(networks):
        member = network.member
        own = torch.nonzero(folds.eq(-1 if member.fold is None else member.fold)).flatten()
        views = torch.cat(
            [
                network.logits_by_view(squares[part], most[member.kind]).cpu()
                for part in torch.split(own, chunk)
            ],
            dim=1,
        )
        whole = said.setdefault(
            member.kind,
            torch.full((len(views), len(squares), views.shape[-1]), float("nan")).double(),
        )
        whole[:, own] = views.double()
        on_progress(done + 1, len(networks))
    return said


@torch.inference_mode()
def with_and_without(
    networks: Sequence[ScoringNetwork],
    photographs: Mapping[str, Tensor],
    patients: Tensor,
    folds: Tensor,
) -> dict[str, Tensor]:
    """Lay the logits that know the metadata before those of the photographs alone.

    What is set on both holds for photographs that come alone and for those that do not.

    Parameters
    ----------
    networks
        A member of each kind for each fold.
    photographs
        See `out_of_fold_logits`.
    patients
        See `metadata.encode`.
    folds
        Fold of each photograph, shape (n,).

    Returns
    -------
    dict
        For each kind the logits, float64, shape (views, 2n, 7).
    """
    both = {}
    for kind, logits in photographs.items():
        added = torch.zeros(logits.shape[1:], dtype=torch.float64)
        for network in networks:
            if network.member.kind == kind:
                own = folds == network.member.fold
                added[own] = network.metadata_logits(patients[own]).double().cpu()
        both[kind] = torch.cat([logits + added, logits], dim=1)
    return both


def affordable_views(members: Sequence[Member]) -> dict[str, int]:
    """Return how many views each kind may get while every other has one.

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    cost = _cost_of_a_view(members)
    spare = MAX_GMAC - sum(cost.values())
    if spare < 0:
        raise TooCostly(f"With one view a member, a photograph costs over {MAX_GMAC} GMAC.")
    return {kind: min(MOST_VIEWS, 1 + int(spare / own)) for kind, own in cost.items()}


def _cost_of_a_view(members: Sequence[Member]) -> dict[str, float]:
    """GMAC of one view by all members of each kind."""
    return {
        kind: sum(gmac(m.architecture, m.input_size) for m in members if m.kind == kind)
        for kind in sorted({member.kind for member in members})
    }


@dataclass(frozen=True)
class Choice:
    """How many views each kind gets, and the calibration that was fitted with them."""

    views: Mapping[str, int]
    fit: Fit
    loss: float


def choose_views(
    logits: Mapping[str, Tensor],
    patients: Tensor,
    members: Sequence[Member],
    truth: Tensor,
    log_prior: Tensor,
) -> Choice:
    """Choose the affordable numbers of views with the least log loss.

    Parameters
    ----------
    logits
        Of each kind, shape (views, n, 7).
    patients
        Encoded metadata, shape (n, f).
    members
        All members; what a photograph costs is the sum over them.

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    kinds, cost, most = sorted(logits), _cost_of_a_view(members), affordable_views(members)
    choices = []
    for numbers in product(*(range(1, most[kind] + 1) for kind in kinds)):
        views = dict(zip(kinds, numbers, strict=True))
        spent = sum(cost[kind] * views[kind] for kind in kinds)
        if spent <= MAX_GMAC:
            means = {kind: logits[kind][: views[kind]].mean(0) for kind in kinds}
            fit = fit_ensemble(means, patients, truth, log_prior)
            loss = log_loss(fit.probabilities(means, patients), truth)
            choices.append(Choice(views, fit, loss))
    return min(choices, key=lambda choice: choice.loss)
