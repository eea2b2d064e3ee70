"""The engine behind all plans: from a declaration to what is selected and expected of units.

:func:`select` answers for all units of a step in a query a source; :func:`expected_products` says
from raw frames and rules alone what should come out, whatever jobs declared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy.orm import Session

from snfpipe.config.step import Step
from snfpipe.declarations.rows import Candidate, Choice, Piece, Scalar, UnitView
from snfpipe.declarations.spec import Input, Lacking, Output, Per, Scope
from snfpipe.fclass import Pair
from snfpipe.names import ExposureId
from snfpipe.plans.by_hand import rows_by_hand
from snfpipe.plans.candidates import Source, products, raw_frames
from snfpipe.plans.observed import SurveySoFar
from snfpipe.plans.reach import in_reach, nights_read
from snfpipe.plans.unit_plan import ExpectedProduct, Item, SelectedInput, UnitPlan, Verdict
from snfpipe.states import State

Found = Mapping[str, Sequence[Candidate]]


def select(session: Session, step: Step, units: Sequence[str]) -> dict[str, UnitPlan]:
    """Return what is to be done for each unit of a step.

    Parameters
    ----------
    session : Session
        What there is.
    step : Step
        Whose plan asks.
    units : sequence of str
        Which units.
    """
    observed = SurveySoFar.of(session, step.root)
    views = _views(session, step, units, observed)
    candidates = _candidates(session, step, units, observed)
    return {
        unit: _plan(
            step,
            views[unit],
            {
                it.role: in_reach(
                    it, step.kind, unit, observed, _among(candidates[it.role], nights)
                )
                for it, nights in _reached(step, unit, observed)
            },
        )
        for unit in units
    }


def expected_products(session: Session, step: Step, units: Sequence[str]) -> list[ExpectedProduct]:
    """Return what raw frames and rules say should come out of each unit."""
    views = _views(session, step, units, SurveySoFar.of(session, step.root))
    return [
        product
        for unit in units
        for piece in step.spec.pieces(views[unit])
        for product in _outputs(step, unit, piece, (), (), piece.excuse)
    ]


# --- what there is, for all units at once --------------------------------------------------


def _views(
    session: Session, step: Step, units: Sequence[str], observed: SurveySoFar
) -> dict[str, UnitView]:
    """Return what the plan is shown of each unit."""
    spec, kind = step.spec, step.kind
    nights = {unit: kind.nights(unit, observed) for unit in units}
    frames = raw_frames(session, spec.observed, {n for own in nights.values() for n in own})
    tables = {name: rows_by_hand(step.root, name, kind) for name in spec.by_hand}
    views = {}
    for unit, own in nights.items():
        targets = kind.targets(unit, observed)
        views[unit] = UnitView(
            unit,
            [
                frame
                for night in own
                for frame in frames.get(night, ())
                if targets is None or frame.target in targets
            ],
            own,
            {name: rows[unit] for name, rows in tables.items() if unit in rows},
            step.options,
        )
    return views


#: Candidates of a role, by night.
_ByNight = dict[str, list[Candidate]]


def _candidates(
    session: Session, step: Step, units: Sequence[str], observed: SurveySoFar
) -> dict[str, _ByNight]:
    """Return the candidates of every input role for all units, one query a source."""
    inputs = [it for it in step.spec.inputs if not it.raw]
    found: dict[str, list[Candidate]] = {}
    for name in dict.fromkeys(it.named for it in inputs):
        same = [it for it in inputs if it.named == name]
        source = Source(
            step.inputs.get(name, ()),
            frozenset(pair for it in same for pair in it.classes),
            _nights(same, step, units, observed),
            any(value.startswith("measured.") for it in same for value in it.values),
        )
        found[name] = products(session, step, source)
    grouped: dict[str, _ByNight] = {it.role: {} for it in step.spec.inputs}
    for it in inputs:
        minimum = it.minimum_status or step.minimum_status
        classes = set(it.classes)
        for candidate in found[it.named]:
            if candidate.status >= minimum and (candidate.fclass, candidate.xfclass) in classes:
                grouped[it.role].setdefault(candidate.night, []).append(candidate)
    return grouped


def _nights(
    inputs: Iterable[Input], step: Step, units: Sequence[str], observed: SurveySoFar
) -> frozenset[str] | None:
    """Return the nights that some inputs of some units may read from; None is all of them."""
    if any(it.scope is Scope.SURVEY for it in inputs):
        return None
    return frozenset(
        night
        for it in inputs
        for unit in units
        for night in nights_read(it, step.kind, unit, observed)
    )


def _reached(
    step: Step, unit: str, observed: SurveySoFar
) -> Iterator[tuple[Input, Sequence[str] | None]]:
    """Yield each input with the nights that it may read from for a unit; None is all of them."""
    for it in step.spec.inputs:
        survey = it.scope is Scope.SURVEY
        yield it, None if survey else nights_read(it, step.kind, unit, observed)


def _among(candidates: _ByNight, nights: Sequence[str] | None) -> list[Candidate]:
    """Return the candidates of some nights, in the order of the nights."""
    chosen = candidates if nights is None else dict.fromkeys(nights)
    return [candidate for night in chosen for candidate in candidates.get(night, ())]


# --- one unit ------------------------------------------------------------------------------


def _plan(step: Step, view: UnitView, found: Found) -> UnitPlan:
    """Choose the inputs of every piece of work, and say what will come out or why not."""
    spec = step.spec
    inputs: dict[tuple[str, str], SelectedInput] = {}
    items: list[Item] = []
    products: list[ExpectedProduct] = []
    excuses: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for piece in spec.pieces(view):
        chosen, flags, lack = ({}, (), None) if piece.excuse else _choose(step, view, piece, found)
        reason = piece.excuse or (lack and lack[1]) or None
        if reason is not None:
            (failures if lack and lack[0] is Lacking.FAILED else excuses)[reason] += 1
            used = _used(chosen)
            products += _outputs(step, view.unit, piece, _ids(used), (), reason)
            continue
        for it in spec.inputs:
            for candidate in chosen.get(it.role, ()):
                inputs[candidate.id_process, it.listed_as or it.role] = _selected(it, candidate)
        items.append(_item(step, piece, chosen, flags))
        products += _outputs(step, view.unit, piece, _ids(_used(chosen)), flags, None)
    verdict = None if items else _verdict(step, view.unit, excuses, failures)
    return UnitPlan(
        view.unit, tuple(inputs.values()), tuple(items), tuple(products), verdict, view.by_hand
    )


_Chosen = dict[str, tuple[Candidate, ...]]


def _choose(
    step: Step, view: UnitView, piece: Piece, found: Found
) -> tuple[_Chosen, tuple[str, ...], tuple[Lacking, str] | None]:
    """Choose every input of a piece of work; stop at the first that it cannot do without."""
    chosen: _Chosen = {}
    flags: list[str] = []
    for it in step.spec.inputs:
        if it.raw:
            chosen[it.role] = (piece.frame,) if piece.frame else ()
            continue
        candidates = found[it.role]
        choice = (
            it.choose(piece, candidates, chosen) if it.choose else _usual(it, piece, candidates)
        )
        if not choice.chosen and it.lacking is not Lacking.OPTIONAL:
            return chosen, (), (it.lacking, choice.reason or _lack(step, it, piece, view.unit))
        chosen[it.role] = choice.chosen
        flags += choice.flags
    return chosen, tuple(dict.fromkeys(flags)), None


def _usual(it: Input, piece: Piece, candidates: Sequence[Candidate]) -> Choice:
    """Choose as inputs do that have no choice of their own."""
    if it.scope is Scope.SAME_EXPOSURE and piece.exposure.exposure:
        ident = piece.exposure.id_exposure
        candidates = [one for one in candidates if one.id_exposure == ident]
    elif it.scope is Scope.SAME_NIGHT and piece.exposure.run:
        night = str(piece.exposure.night)
        candidates = [one for one in candidates if one.night == night]
    candidates = [one for one in candidates if one.channel & piece.channel]
    return Choice(tuple(candidates if it.many else candidates[:1]))


def _lack(step: Step, it: Input, piece: Piece, unit: str) -> str:
    """Say that an input is not there."""
    validated = "validated " if (it.minimum_status or step.minimum_status) > 1 else ""
    text = it.reason or "no {validated}" + it.role
    return text.format(night=piece.exposure.night, unit=unit, validated=validated)


def _selected(it: Input, candidate: Candidate) -> SelectedInput:
    """Return a candidate as an input, with the values that its role names."""
    return SelectedInput(
        candidate.id_process,
        it.listed_as or it.role,
        candidate.area,
        candidate.path,
        candidate.checksum,
        candidate.size,
        {name: candidate.value(name) for name in it.values},
    )


def _item(step: Step, piece: Piece, chosen: _Chosen, flags: tuple[str, ...]) -> Item:
    """Return the work on a piece."""
    values: dict[str, Scalar] = dict(piece.values)
    return Item(
        piece.item,
        {role: _ids(used) for role, used in chosen.items()},
        values,
        flags,
        frozenset(it.role for it in step.spec.inputs if it.many),
    )


def _used(chosen: _Chosen) -> list[Candidate]:
    """Return everything that was chosen, in the order of the roles."""
    return [candidate for used in chosen.values() for candidate in used]


def _ids(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return process ids, each once."""
    return tuple(dict.fromkeys(it.id_process for it in candidates))


def _outputs(
    step: Step,
    unit: str,
    piece: Piece,
    parents: tuple[str, ...],
    flags: tuple[str, ...],
    reason: str | None,
) -> Iterator[ExpectedProduct]:
    """Yield the products of a piece of work."""
    for output in step.spec.outputs:
        if piece.outputs is not None and output.role not in piece.outputs:
            continue
        fclass, xfclass = _class(output, piece)
        yield ExpectedProduct(
            exposure=_exposure(output, piece),
            channel=output.channel or piece.channel,
            fclass=fclass,
            xfclass=xfclass,
            item=piece.item,
            role=output.role,
            parents=parents,
            extension=output.extension,
            auxiliary=output.auxiliary,
            target_id=piece.target_id,
            reason=reason,
            unit=unit,
            optional=output.optional,
            flags=flags,
        )


def _class(output: Output, piece: Piece) -> Pair:
    """Return the class of an output: the one that it has, or the one that the piece says."""
    return piece.classes.get(output.role, output.classes[0])


def _exposure(output: Output, piece: Piece) -> ExposureId:
    """Return what a product is named by."""
    own = piece.exposure
    if output.per is Per.NIGHT:
        return ExposureId(own.night, 0, 0)
    if output.per in (Per.RUN, Per.TARGET) and own.exposure:
        return ExposureId(own.night, own.run, 0)
    return own


def _verdict(
    step: Step, unit: str, excuses: Mapping[str, int], failures: Mapping[str, int]
) -> Verdict:
    """Say why there is no work on a unit: something is lacking, or there is nothing to do."""
    if failures:
        return Verdict(State.FAILED, ", ".join(sorted(failures)))
    if excuses:
        counted = ", ".join(f"{reason} ({count})" for reason, count in sorted(excuses.items()))
        text = step.spec.idle.format(counted=counted, reasons=", ".join(sorted(excuses)))
        return Verdict(State.NOTHING_TO_DO, text)
    empty = step.spec.empty
    return Verdict(empty.state, empty.reason.format(unit=unit))
