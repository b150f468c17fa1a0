"""Claims over arrays in other shapes, at positions that are data, over products: true ones and near misses.

A line is `kind | what is differentiated by | function | claim`, with `!` in front of a wrong one and a
condition behind `;`.
"""

from __future__ import annotations

import pytest

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.claims_file import KINDS, Claim
from gradproof.symbolic.syntax import ParseError

AXES = {
    "x": "d", "y": "d", "w": "d", "X": "b d", "Z": "e d", "A": "n n", "S": "n n", "C": "n m", "E": "m p",
    "u": "n", "r": "m", "u1": "n p", "a3": "3", "b3": "3", "k3": "3", "t": "q", "m": "d", "xx": "b c l",
    "wk": "o c 3",
}  # fmt: skip
OTHER_AXES = {"gather": {"t": "b q"}, "index_add": {"y": "q"}, "convolve": {"y": "f"}}
CLAIMS = r"""
vjp | x | prod(x) | g*prod(x)/x ; x != 0
!vjp | x | prod(x) | g*prod(x)/x
!vjp | x | prod(x) | where(x != 0, g*prod(x)/x, g*0)
vjp | X | prod(X, axis=1) | g[:,None]*prod(X, axis=1, keepdims=True)/X ; X != 0
vjp | x | prod(x*y) | g*prod(x)*prod(y)/x ; x != 0
!vjp | y | prod(x*y) | g*prod(x*y)/x ; x != 0
vjp | x | cumprod(x) | flip(cumsum(flip(g*result)))/x ; x != 0
!vjp | x | cumprod(x) | cumsum(g*result)/x ; x != 0
!vjp | x | cumprod(x) | where(x != 0, revcumsum(g*cumprod(x))/x, 0)
!hessian | x | prod(x) | prod(x)*(outer(1/x,1/x) - diag(1/x**2))
!hessian | x | prod(x) | prod(x)*outer(1/x,1/x) ; x != 0
hessian | A | det(A) | V = inv(A); det(A)*(V[j,i]*V[l,k] - V[j,k]*V[l,i]) ; det(A) != 0
identity | - | prod(2*x) | 2**d*prod(x)
!identity | - | prod(-x) | prod(x)
vjp | x | x[None] | g[0]
vjp | X | X[:, None, :] | g[:, 0]
vjp | x | x.unsqueeze(0) | g.squeeze(0)
vjp | X | X.flatten() | g.reshape(b, d)
!vjp | X | ravel(X) | reshape(g, X.shape)*2
!jacobian | X | X.reshape(-1) | X
vjp | u | kron(u, r) | g.reshape(n, m) @ r
!vjp | r | kron(u, r) | g.reshape(n,m) @ u
identity | - | ravel(A @ C @ E) | kron(A, E.T) @ ravel(C)
!identity | - | trace(kron(A, S)) | trace(A) + trace(S)
identity | - | sum(kron(u, r)) | sum(u)*sum(r)
identity | - | norm(X.flatten()) | norm(X)
vjp | X | softmax(X.flatten()) | (result*(g - sum(g*result))).reshape(X.shape)
!vjp | X | softmax(X.flatten()) | (result*(g - sum(g))).reshape(X.shape)
!vjp | X | max(X.flatten()) | g*(X == max(X))
!vjp | X | cumsum(X.flatten()) | g.reshape(X.shape)
vjp | x | np.repeat(x, 2) | g[::2] + g[1::2]
!vjp | x | np.repeat(x, 2) | g[:d] + g[d:]
!vjp | x | tile(x, 2) | g[::2] + g[1::2]
vjp | X | repeat_interleave(X, 2, dim=1) | g[:, ::2] + g[:, 1::2]
!vjp | x | repeat_interleave(x, 3) | g[::3]+g[1::3]
identity | - | sum(np.repeat(x, 3)) | 3*sum(x)
vjp | X | gather(X, 1, t) | scatter_add(zeros_like(X), 1, t, g)
!vjp | X | gather(X, 1, t) | scatter_add(X, 1, t, g)
vjp | y | index_add(x, 0, t, y) | g[t]
!vjp | y | index_add(x, 0, t, y) | -g[t]
!vjp | x | index_add(x, 0, t, y) | 0*g
vjp | X | index_select(X, 0, t) | one_hot(t, b).T @ g
vjp | x | masked_fill(x, m, 0) | where(m, 0, g)
!vjp | x | masked_fill(x, m, 0) | where(m, g, 0)
vjp | C | addmm(u1, C, E) | g @ E.T
vjp | C | addmm(u1, C, E, beta=2, alpha=3) | 3*g @ E.T
!vjp | C | addmm(u1, C, E, beta=2, alpha=3) | 2*g @ E.T
vjp | x | addcmul(w, x, y, value=2) | 2*g*y
!vjp | x | addcmul(w, x, y, value=2) | 2*g*x
vjp | y | addcdiv(w, x, y) | -g*x/y**2 ; y != 0
!vjp | y | addcdiv(w, x, y) | g*x/y**2 ; y != 0
vjp | x | lerp(x, y, w) | g*(1-w)
vjp | w | lerp(x, y, w) | g*(y-x)
!vjp | w | lerp(x, y, w) | g*(x-y)
vjp | a3 | cross(a3, b3) | cross(b3, g)
!vjp | a3 | cross(a3, b3) | cross(g, b3)
vjp | b3 | cross(a3, b3) | cross(g, a3)
identity | - | dot(cross(a3, b3), a3) | 0
vjp | x | dist(x, y) | g*(x-y)/dist(x,y) ; dist(x, y) != 0
!vjp | y | dist(x, y) | g*(x-y)/dist(x,y) ; dist(x,y) != 0
vjp | X | cdist(X, Z) | sum(g[i,j]*(X[i,k]-Z[j,k])/cdist(X,Z)[i,j], j) ; cdist(X,Z) != 0
!vjp | X | cdist(X, Z) | sum(g[i,j]*(X[i,k]+Z[j,k])/cdist(X,Z)[i,j], j) ; cdist(X,Z) != 0
vjp | x | convolve(x, y) | correlate(g, y)
!vjp | x | convolve(x, y) | convolve(g, y)
vjp | y | convolve(x, y) | correlate(g, x)
vjp | k3 | correlate(x, k3) | correlate(x, g)
!vjp | x | correlate(x, k3) | convolve(g, k3[::-1])
vjp | wk | conv1d(xx, wk) | einsum('bcnj,bon->ocj', stack([xx[:,:,0:-2], xx[:,:,1:-1], xx[:,:,2:]], 3), g)
vjp | x | average(x, weights=w) | g*w/sum(w)
!vjp | x | average(x, weights=w) | g*w
vjp | x | logmeanexp(x) | g*softmax(x)
!vjp | x | logmeanexp(x) | g*softmax(x)/d
vjp | X | np.pad(X, ((1,1),(0,0))) | g[1:-1]
vjp | X | F.pad(X, (1,2)) | g[:, 1:-2]
!vjp | X | F.pad(X, (1,2)) | g[1:-2]
vjp | X | X[:, 1:] | pad(g, ((0,0),(1,0)))
!vjp | X | X[:, 1:] | pad(g, ((0,0),(0,1)))
hessian | x | prod(x) | prod(x)*(outer(1/x,1/x) - diag(1/x**2)) ; x != 0
identity | - | prod(-x) | (-1)**d*prod(x)
!identity | - | prod(x + y) | prod(x) + prod(y)
"""
OPEN = [
    ("vjp", "x", "correlate(x, k3)", "convolve(g, k3)"),
    ("identity", "-", "X.flatten()[::-1]", "flip(X).flatten()"),
    ("identity", "-", "kron(u, r)", "kron(r, u)"),
    ("vjp", "X", "X.flatten()", "g.reshape(d, b).T"),
    ("hessian", "x", "prod(x)", "where(x[i] != 0, prod(x)*(1/x[i]*1/x[j] - delta(i,j)/x[i]**2), 0)"),
]
"""Not decided: lengths joined in another order, places on joined axes, a determinant that may be 0."""


def claim_of(kind: str, by: str, function: str, text: str, where: str = "") -> Claim:
    said = f"{function} {text} {by} {where}"
    axes = dict(AXES)
    for name, other in OTHER_AXES.items():
        axes |= other if name in function else {}
    read = {n: tuple(a.split()) for n, a in axes.items() if _reads(said, n)}
    domain = {"t": "index"} if "t" in read else {"m": "boolean"} if "m" in read else {}
    wrt = () if by == "-" else (by,)
    conditions = (where,) if where else ()
    made = KINDS[[str(k) for k in KINDS].index(kind)]
    return Claim("a", function, wrt, text, kind=made, axes=read, domain=domain, where=conditions)


def _reads(text: str, name: str) -> bool:
    names = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    mask = name != "m" or "masked_fill" in text
    return name in names and mask


@pytest.mark.parametrize("line", [line for line in CLAIMS.splitlines() if line])
def test_claims_are_decided(line: str) -> None:
    statement, _, where = line.lstrip("!").partition(" ; ")
    kind, by, function, text = (part.strip() for part in statement.split(" | "))
    wanted = "refuted" if line.startswith("!") else "proved"
    assert judge_arrays(claim_of(kind, by, function, text, where)).verdict == wanted


@pytest.mark.parametrize("kind, by, function, text", OPEN)
def test_what_is_not_decided_is_not_decided_wrongly(kind: str, by: str, function: str, text: str) -> None:
    assert judge_arrays(claim_of(kind, by, function, text)).verdict == "undecided"


def test_repeat_as_a_method_is_refused() -> None:
    with pytest.raises(ParseError, match="write `np"):
        judge_arrays(claim_of("vjp", "x", "x.repeat(2)", "g[:d] + g[d:]"))


def test_a_function_whose_axes_do_not_meet_is_refused() -> None:
    with pytest.raises(ParseError, match="function: `@` contracts"):
        judge_arrays(claim_of("vjp", "x", "C @ x", "C.T @ g"))
