"""Moving, reading and writing entries of exact arrays, by what NumPy does to arrays of positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.numeric.exact.duals import Array
from gradproof.numeric.exact.numpy_arrays import Exact, ExactArray
from gradproof.numeric.exact.numpy_decisions import Decision
from gradproof.numeric.exact.numpy_numbers import NumpyNumbers
from gradproof.numeric.exact.numpy_tables import leaves, map_arrays, substitute
from gradproof.numeric.exact.storages import gather
from gradproof.numeric.exact.values import Value


class NumpyPositions(NumpyNumbers):
    """A run, as far as it moves entries."""

    # Moving entries

    def move(self, function: Any, args: Any, kwargs: Any, fill: Any = 0) -> Any:
        """Apply a function that moves entries of one array: a view where NumPy makes one, else a copy.

        Entries that the function fills with 0 are filled with `fill`.
        """
        (source,) = (leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Exact))
        for leaf in leaves((args, kwargs)):
            if isinstance(leaf, Decision) and leaf.origin.forced and leaf.array.dtype == np.bool_:
                self.count(("a mask selects", leaf.array.size), int(leaf.array.sum()))
        args, kwargs = substitute((args, kwargs), self._plain)
        moved = function(*substitute(args, lambda a: a.spots), **substitute(kwargs, lambda a: a.spots))
        first = moved[0] if isinstance(moved, list | tuple) and moved else moved
        shared = isinstance(first, np.ndarray) and np.may_share_memory(first, source.spots)
        if shared and isinstance(source, ExactArray):
            return map_arrays(moved, lambda spots: ExactArray(self, source.store, spots, source.dtype))
        positions = 1 + np.arange(source.spots.size).reshape(source.spots.shape)
        ordered = np.empty_like(source.spots)
        ordered[...] = positions
        moved = function(*substitute(args, lambda a: ordered), **substitute(kwargs, lambda a: ordered))
        sources = [self.value_of(fill).expand((1,)), self.value_of(source)]
        return map_arrays(moved, lambda spots: self._copy(sources, spots, source))

    def _copy(self, sources: list[Value], spots: Any, source: Exact) -> Exact:
        value = (
            gather(sources, np.asarray(spots)) if np.any(spots == 0) else self._from_one(sources[1], spots)
        )
        shadow = (
            source.dtype.type(1)
            if isinstance(spots, np.generic)
            else np.empty_like(spots, dtype=source.dtype)
        )
        return self.passing_on(self.wrap(value, shadow), (source,))

    def _from_one(self, value: Value, spots: Any) -> Value:
        return gather([value], np.asarray(spots) - 1)

    def join(self, function: Any, arrays: Any) -> Value:
        """Apply a function that moves entries of several arrays, called with arrays of positions."""
        values = [self.value_of(array) for array in arrays]
        places: list[Array] = []
        start = 0
        for value in values:
            count = int(np.prod(value.shape, dtype=int))
            places.append(np.arange(start, start + count).reshape(value.shape))
            start += count
        positions = np.asarray(function(places))
        if not values:
            self.fail("an array of nothing")
        return gather(values, positions)

    # Indexing

    def key_of(self, key: Any) -> Any:
        """An index without decisions in it."""
        if isinstance(key, slice):
            return slice(*(self._plain_index(k) for k in (key.start, key.stop, key.step)))
        if isinstance(key, tuple):
            return tuple(self.key_of(k) for k in key)
        if isinstance(key, list) and any(isinstance(k, Decision) for k in key):
            key = self.assemble_data(key)
        return self._plain_index(key)

    def _plain_index(self, key: Any) -> Any:
        if isinstance(key, Exact):
            raise IndexError("arrays used as indices must be of integer (or boolean) type")
        if not isinstance(key, Decision):
            return key
        plain = key.use("an index")
        return plain[()] if key.scalar else plain

    def _plain(self, leaf: Any) -> Any:
        return leaf if isinstance(leaf, Exact) else self._plain_index(leaf)

    def read_at(self, array: Exact, key: Any) -> Any:
        spots = array.spots[self.key_of(key)]
        if isinstance(spots, np.ndarray) and np.may_share_memory(spots, array.spots):
            return self.passing_on(ExactArray(self, array.store, spots, array.dtype), (array,))
        shadow = (
            array.dtype.type(1) if isinstance(spots, np.generic) else np.empty_like(spots, dtype=array.dtype)
        )
        result = self.wrap(array.store.read(np.asarray(spots)), shadow)
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, Decision) and part.array.dtype == np.bool_ and part.origin.forced:
                result.counted = ("a mask selects", part.array.size)
            elif isinstance(part, Decision) and part.counted is not None:
                result.counted = part.counted
        return result if result.counted else self.passing_on(result, (array,))

    def write_at(self, array: Exact, key: Any, value: Any) -> None:
        spots = np.asarray(array.spots[self.key_of(key)])
        if not array.spots.flags.writeable:
            raise ValueError("assignment destination is read-only")
        given = self.value_of(value)
        while len(given.shape) > spots.ndim and given.shape[0] == 1:
            rank = len(given.shape)
            given = given.map(lambda a, rank=rank: a.squeeze(axis=a.ndim - rank))
        if np.broadcast_shapes(given.shape, spots.shape) != spots.shape:
            raise ValueError(
                f"could not broadcast input array from shape {given.shape} into shape {spots.shape}"
            )
        array.store.write(given.expand(spots.shape), spots)

    def passing_on(self, result: Exact, given: Any) -> Exact:
        if result.ndim:
            counts = (x.counted for x in leaves(given) if isinstance(x, Exact | Decision))
            result.counted = next((c for c in counts if c is not None), None)
        return result
