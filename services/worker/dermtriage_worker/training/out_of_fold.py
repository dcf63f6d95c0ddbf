"""Out-of-fold logits, and the number of views per member that they suggest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from dermtriage.core.errors import DermtriageError
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.training.calibrate import FittedCalibration, fit_calibration, log_loss
from dermtriage_worker.training.cost import gmac

MAX_GMAC = 3.0
MAX_VIEWS = 8


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
    """Score every photograph with the members that were not trained on its fold, view by view.

    Parameters
    ----------
    networks
        A member of each kind for each fold.
    squares
        Prepared photographs, uint8, shape (n, 3, s, s).
    folds
        Fold of each photograph, shape (n,).
    chunk
        Number of photographs per forward pass.
    on_progress
        Called with the number of members that are done, and of all.

    Returns
    -------
    dict
        Logits of each kind, float64, shape (views, n, 7), of as many dihedral views as
        `affordable_views` allows it.

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    max_views = affordable_views([network.member for network in networks])
    logits: dict[str, Tensor] = {}
    for done, network in enumerate(networks):
        member = network.member
        own = torch.nonzero(folds.eq(-1 if member.fold is None else member.fold)).flatten()
        views = torch.cat(
            [
                network.logits_by_view(squares[part], max_views[member.kind]).cpu()
                for part in torch.split(own, chunk)
            ],
            dim=1,
        )
        of_kind = logits.setdefault(
            member.kind,
            torch.full((len(views), len(squares), views.shape[-1]), float("nan")).double(),
        )
        of_kind[:, own] = views.double()
        on_progress(done + 1, len(networks))
    return logits


@torch.inference_mode()
def logits_with_and_without_metadata(
    networks: Sequence[ScoringNetwork],
    logits: Mapping[str, Tensor],
    patients: Tensor,
    folds: Tensor,
) -> dict[str, Tensor]:
    """Concatenate the logits with metadata and those without.

    What is fitted on both holds for photographs that come with metadata and for those that do not.

    Parameters
    ----------
    networks
        A member of each kind for each fold.
    logits
        Without metadata; see `out_of_fold_logits`.
    patients
        See `metadata.encode`.
    folds
        Fold of each photograph, shape (n,).

    Returns
    -------
    dict
        Logits of each kind, float64, shape (views, 2n, 7): n with metadata, then n without.
    """
    both = {}
    for kind, without in logits.items():
        added = torch.zeros(without.shape[1:], dtype=torch.float64)
        for network in networks:
            if network.member.kind == kind:
                own = folds == network.member.fold
                added[own] = network.metadata_logits(patients[own]).double().cpu()
        both[kind] = torch.cat([without + added, without], dim=1)
    return both


def affordable_views(members: Sequence[Member]) -> dict[str, int]:
    """Return the largest number of views of each kind within the budget, if the others have one.

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    cost = _cost_per_view(members)
    spare = MAX_GMAC - sum(cost.values())
    if spare < 0:
        raise TooCostly(f"With one view a member, a photograph costs over {MAX_GMAC} GMAC.")
    return {kind: min(MAX_VIEWS, 1 + int(spare / own)) for kind, own in cost.items()}


def _cost_per_view(members: Sequence[Member]) -> dict[str, float]:
    """GMAC of one view by all members of each kind."""
    return {
        kind: sum(gmac(m.architecture, m.input_size) for m in members if m.kind == kind)
        for kind in sorted({member.kind for member in members})
    }


@dataclass(frozen=True)
class ViewChoice:
    """Number of views of each kind, the calibration that was fitted with them, and its log loss."""

    views: Mapping[str, int]
    fit: FittedCalibration
    loss: float


def choose_views(
    logits: Mapping[str, Tensor],
    patients: Tensor,
    members: Sequence[Member],
    labels: Tensor,
    log_prior: Tensor,
) -> ViewChoice:
    """Choose the affordable numbers of views with the least log loss.

    Parameters
    ----------
    logits
        Of each kind, shape (views, n, 7).
    patients
        Encoded metadata, shape (n, f).
    members
        All members; the cost of a photograph is the sum over them.
    labels
        Class indices, shape (n,).
    log_prior
        Logarithm of the training frequencies, shape (7,).

    Raises
    ------
    TooCostly
        If even one view a member is not affordable.
    """
    kinds, cost, max_views = sorted(logits), _cost_per_view(members), affordable_views(members)
    choices = []
    for numbers in product(*(range(1, max_views[kind] + 1) for kind in kinds)):
        views = dict(zip(kinds, numbers, strict=True))
        if sum(cost[kind] * views[kind] for kind in kinds) <= MAX_GMAC:
            means = {kind: logits[kind][: views[kind]].mean(0) for kind in kinds}
            fit = fit_calibration(means, patients, labels, log_prior)
            loss = log_loss(fit.probabilities(means, patients), labels)
            choices.append(ViewChoice(views, fit, loss))
    return min(choices, key=lambda choice: choice.loss)
