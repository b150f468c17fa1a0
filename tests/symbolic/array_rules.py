"""Rules of matrix calculus and of frameworks' tables over arrays, true and wrong, as claims.

A line is `kind | what is differentiated by | function | claim`, with `!` in front of a wrong one and a
condition behind `; where`. A line that ends in a backslash goes on in the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gradproof.symbolic.claims_file import Claim

AXES: dict[str, tuple[str, ...]] = {
    "x": ("d",), "y": ("d",), "w": ("d",), "u": ("n",), "v": ("n",), "z": ("m",),
    "X": ("b", "d"), "W": ("o", "d"), "h": ("o",), "Y": ("b", "d"), "P": ("b", "c"), "Q": ("b", "c"),
    "A": ("n", "n"), "B": ("n", "n"), "C": ("n", "m"), "D": ("m", "n"), "E": ("m", "k"), "t": ("b",),
    "gamma": ("d",), "beta": ("d",), "s": (),
}  # fmt: skip
INDICES = {"i": "d", "j": "d", "k": "d", "l": "d", "a": "b", "p": "c", "q": "c", "r": "n", "e": "n", "f": "n"}

TEXT = r"""
# entry by entry
vjp | x | tanh(x) | g*(1 - tanh(x)**2)
!vjp | x | tanh(x) | g*(1 + tanh(x)**2)
!vjp | x | tanh(x) | 1 - tanh(x)**2
vjp | x | sigmoid(x) | g*sigmoid(x)*(1 - sigmoid(x))
!vjp | x | sigmoid(x) | g*sigmoid(x)*(1 + sigmoid(x))
vjp | x | x*sigmoid(x) | g*(sigmoid(x) + x*sigmoid(x)*(1 - sigmoid(x)))
!vjp | x | x*sigmoid(x) | g*(sigmoid(x) + sigmoid(x)*(1 - sigmoid(x)))
vjp | x | exp(x)*y | g*y*exp(x)
vjp | y | exp(x)*y | g*exp(x)
vjp | x | softplus(x) | g*sigmoid(x)
vjp | x | x**3 | 3*g*x**2
jvp | x | sin(x) | x_dot*cos(x)
!jvp | x | sin(x) | -x_dot*cos(x)
jacobian | x | tanh(x) | diag(1 - tanh(x)**2)
!jacobian | x | tanh(x) | 1 - tanh(x)**2
jacobian | x | exp(x) | diag(exp(x))
jacobian | x[j] | y[i] = exp(x[i]) | delta(i,j)*exp(x[i])
# broadcasting
vjp | beta | X + beta | sum(g, axis=0)
!vjp | beta | X + beta | g
!vjp | beta | X + beta | mean(g, axis=0)
vjp | gamma | X*gamma | sum(g*X, axis=0)
!vjp | gamma | X*gamma | sum(g, axis=0)*gamma
vjp | s | s*X | sum(g*X)
!vjp | s | s*X | g*X
vjp | X | X*gamma | g*gamma
# matrix products
vjp | X | X @ W.T | g @ W
!vjp | X | X @ W.T | g @ W.T
vjp | W | X @ W.T | g.T @ X
!vjp | W | X @ W.T | X.T @ g
!vjp | W | X @ W.T | -g.T @ X
vjp | W | X @ W.T + h | g.T @ X
vjp | h | X @ W.T + h | sum(g, axis=0)
vjp | C | C @ D | g @ D.T
!vjp | C | C @ D | D.T @ g
vjp | D | C @ D | C.T @ g
vjp | u | A @ u | A.T @ g
!vjp | u | A @ u | A @ g
vjp | A | A @ u | outer(g, u)
!vjp | A | A @ u | outer(u, g)
jacobian | u | A @ u | A
!jacobian | u | A @ u | A.T
jacobian | u | u @ A | A.T
jvp | A | A @ B | A_dot @ B
!jvp | A | A @ B | B @ A_dot
vjp | A | A @ A | g @ A.T + A.T @ g
!vjp | A | A @ A | 2*g @ A.T
!vjp | A | A @ A | g @ A + A @ g
vjp | A | A.T @ A | A @ (g + g.T)
!vjp | A | A.T @ A | 2*A @ g
vjp | X | einsum('bd,od->bo', X, W) | einsum('bo,od->bd', g, W)
vjp | W | einsum('bd,od->bo', X, W) | einsum('bo,bd->od', g, X)
!vjp | W | einsum('bd,od->bo', X, W) | einsum('bo,bd->od', g, X) + W
vjp | X | y[a,o1] = sum(X[a,i]*W[o1,i], i) | sum(g[a,o1]*W[o1,i], o1)
vjp | u | dot(u, v) | g*v
vjp | A | u @ A @ v | g*outer(u, v)
!vjp | A | u @ A @ v | g*outer(v, u)
vjp | u | outer(u, v) | g @ v
!vjp | u | outer(u, v) | g.T @ v
vjp | v | outer(u, v) | g.T @ u
# quadratic forms and traces
jacobian | u | u @ A @ u | (A + A.T) @ u
!jacobian | u | u @ A @ u | 2*A @ u
!jacobian | u | u @ A @ u | (A + A.T) @ u / 2
hessian | u | u @ A @ u | A + A.T
!hessian | u | u @ A @ u | 2*A
jacobian | A | u @ A @ u | outer(u, u)
jacobian | A | trace(A @ B) | B.T
!jacobian | A | trace(A @ B) | B
jacobian | A | trace(A.T @ B) | B
jacobian | A | trace(A @ A) | 2*A.T
!jacobian | A | trace(A @ A) | 2*A
jacobian | A | trace(A @ A.T) | 2*A
jacobian | A | trace(A @ B @ A.T) | A @ (B + B.T)
!jacobian | A | trace(A @ B @ A.T) | 2*A @ B
jacobian | A | trace(A.T @ B @ A) | (B + B.T) @ A
jacobian | A | trace(A) | eye(n)
!jacobian | A | trace(A) | 1
jacobian | C | trace(C @ D) | D.T
jacobian | A | trace(A @ A @ A) | 3*(A @ A).T
!jacobian | A | trace(A @ A @ A) | 3*A @ A
jacobian | u | sum((A @ u - v)**2) | 2*A.T @ (A @ u - v)
!jacobian | u | sum((A @ u - v)**2) | 2*A @ (A @ u - v)
!jacobian | u | sum((A @ u - v)**2) | A.T @ (A @ u - v)
hessian | u | sum((A @ u - v)**2) | 2*A.T @ A
!hessian | u | sum((A @ u - v)**2) | 2*A @ A.T
# inverse and determinant
vjp | A | inv(A) | -inv(A).T @ g @ inv(A).T
!vjp | A | inv(A) | inv(A).T @ g @ inv(A).T
!vjp | A | inv(A) | -inv(A) @ g @ inv(A)
jvp | A | inv(A) | -inv(A) @ A_dot @ inv(A)
!jvp | A | inv(A) | -inv(A) @ inv(A) @ A_dot
vjp | A | logdet(A) | g*inv(A).T
!vjp | A | logdet(A) | g*inv(A)
!vjp | A | logdet(A) | -g*inv(A).T
jvp | A | logdet(A) | trace(inv(A) @ A_dot)
vjp | A | det(A) | g*det(A)*inv(A).T ; where det(A) != 0
!vjp | A | det(A) | g*det(A)*inv(A) ; where det(A) != 0
vjp | u | solve(A, u) | inv(A).T @ g
!vjp | u | solve(A, u) | inv(A) @ g
vjp | A | solve(A, u) | -outer(inv(A).T @ g, inv(A) @ u)
!vjp | A | solve(A, u) | -outer(inv(A) @ u, inv(A).T @ g)
jacobian | A | trace(inv(A) @ B) | -(inv(A) @ B @ inv(A)).T
!jacobian | A | trace(inv(A) @ B) | -inv(A) @ B @ inv(A)
jacobian | A | u @ inv(A) @ v | -outer(inv(A).T @ u, inv(A) @ v)
!jacobian | A | u @ inv(A) @ v | -inv(A) @ outer(u, v) @ inv(A)
jacobian | A | logdet(A.T @ A) | 2*inv(A).T
jacobian | A | logdet(A @ B) | inv(A).T
!jacobian | A | logdet(A @ B) | inv(A @ B).T
identity | - | inv(A @ B) | inv(B) @ inv(A)
!identity | - | inv(A @ B) | inv(A) @ inv(B)
identity | - | inv(A.T) | inv(A).T
identity | - | inv(A) @ A | eye(n)
identity | - | inv(A) - inv(B) | inv(A) @ (B - A) @ inv(B)
!identity | - | inv(A) - inv(B) | inv(A) @ (A - B) @ inv(B)
!identity | - | inv(A + B) | inv(A) + inv(B)
identity | - | trace(A @ B) | trace(B @ A)
!identity | - | A @ B | B @ A
identity | - | (A @ B).T | B.T @ A.T
!identity | - | (A @ B).T | A.T @ B.T
# softmax and its kin
vjp | x | softmax(x) | softmax(x)*(g - sum(g*softmax(x)))
!vjp | x | softmax(x) | softmax(x)*(g + sum(g*softmax(x)))
!vjp | x | softmax(x) | softmax(x)*(1 - softmax(x))*g
vjp | X | softmax(X) | softmax(X)*(g - sum(g*softmax(X), axis=-1, keepdims=True))
!vjp | X | softmax(X) | softmax(X)*(g - sum(g*softmax(X)))
!vjp | X | softmax(X) | softmax(X)*(g - sum(g, axis=-1, keepdims=True))
jacobian | x | softmax(x) | diag(softmax(x)) - outer(softmax(x), softmax(x))
!jacobian | x | softmax(x) | diag(softmax(x)) + outer(softmax(x), softmax(x))
jacobian | x[j] | y[i] = softmax(x)[i] | softmax(x)[i]*(delta(i,j) - softmax(x)[j])
!jacobian | x[j] | y[i] = softmax(x)[i] | softmax(x)[i]*(1 - softmax(x)[j])
vjp | x | log_softmax(x) | g - softmax(x)*sum(g)
!vjp | x | log_softmax(x) | g - sum(g*softmax(x))
!vjp | x | log_softmax(x) | g + softmax(x)*sum(g)
vjp | X | log_softmax(X) | g - softmax(X)*sum(g, axis=-1, keepdims=True)
vjp | x | logsumexp(x) | g*softmax(x)
hessian | x | logsumexp(x) | diag(softmax(x)) - outer(softmax(x), softmax(x))
!hessian | x | logsumexp(x) | diag(softmax(x))
vjp | x[j] | sum(softmax(x)[i]*w[i], i) | g*softmax(x)[j]*(w[j] - sum(softmax(x)[i]*w[i], i))
!vjp | x[j] | sum(softmax(x)[i]*w[i], i) | g*softmax(x)[j]*w[j]
vjp | P | -sum(Q*log_softmax(P)) | g*(softmax(P)*sum(Q, axis=-1, keepdims=True) - Q)
!vjp | P | -sum(Q*log_softmax(P)) | g*(softmax(P) - Q)
vjp | P | -sum(log_softmax(P)[a,t[a]], a)/b | g*(softmax(P) - one_hot(t, c))/b
!vjp | P | -sum(log_softmax(P)[a,t[a]], a)/b | g*(softmax(P) - one_hot(t, c))
!vjp | P | -sum(log_softmax(P)[a,t[a]], a)/b | g*(one_hot(t, c) - softmax(P))/b
# statistics and norms
vjp | x | mean(x) | g/d
!vjp | x | mean(x) | g
vjp | X | mean(X) | g/(b*d)
vjp | X | sum(X, axis=0) | g*(X == X)
vjp | x | var(x) | 2*g*(x - mean(x))/d
!vjp | x | var(x) | 2*g*x/d
!vjp | x | var(x) | g*(x - mean(x))/d
vjp | x | norm(x) | g*x/norm(x)
!vjp | x | norm(x) | g*x
!vjp | x | norm(x) | g*norm(x)/x
vjp | x | x/norm(x) | (g - x*sum(x*g)/norm(x)**2)/norm(x)
!vjp | x | x/norm(x) | (g - x*sum(x*g)/norm(x))/norm(x)
!vjp | x | x/norm(x) | g/norm(x)
hessian | x | sum(x**2)/2 | eye(d)
jacobian | x | dot(x, y)/(norm(x)*norm(y)) | y/(norm(x)*norm(y)) - dot(x, y)*x/(norm(x)**3*norm(y))
!jacobian | x | dot(x, y)/(norm(x)*norm(y)) | y/(norm(x)*norm(y)) - dot(x, y)*x/(norm(x)**2*norm(y))
vjp | X | sqrt(sum(X**2, axis=-1)) | X*g[:,None]/sqrt(sum(X**2, axis=-1))[:,None]
vjp | x | (x - mean(x))/sqrt(var(x) + s) | \
(g - mean(g) - (x - mean(x))*mean(g*(x - mean(x)))/(var(x) + s))/sqrt(var(x) + s)
!vjp | x | (x - mean(x))/sqrt(var(x) + s) | (g - mean(g))/sqrt(var(x) + s)
!vjp | x | (x - mean(x))/sqrt(var(x) + s) | \
(g - mean(g) + (x - mean(x))*mean(g*(x - mean(x)))/(var(x) + s))/sqrt(var(x) + s)
vjp | x | x/sqrt(mean(x**2) + s) | (g - x*mean(g*x)/(mean(x**2) + s))/sqrt(mean(x**2) + s)
!vjp | x | x/sqrt(mean(x**2) + s) | (g - x*sum(g*x)/(mean(x**2) + s))/sqrt(mean(x**2) + s)
# what moves entries
vjp | x | cumsum(x) | revcumsum(g)
!vjp | x | cumsum(x) | cumsum(g)
jacobian | x[j] | y[i] = cumsum(x)[i] | j <= i
!jacobian | x[j] | y[i] = cumsum(x)[i] | i <= j
vjp | A | A.T | g.T
!vjp | A | A.T | g
vjp | u | diag(u) | diag(g)
vjp | A | diag(A) | diag(g)
vjp | P | y[a] = P[a,t[a]] | g[:,None]*one_hot(t, c)
!vjp | P | y[a] = P[a,t[a]] | one_hot(t, c)
# cases, away from their kinks
vjp | x | relu(x) | g*(x > 0) ; where x != 0
!vjp | x | relu(x) | g*(x < 0) ; where x != 0
vjp | x | sum(abs(x)) | g*sign(x) ; where x != 0
!vjp | x | sum(abs(x)) | g*abs(x) ; where x != 0
vjp | x | where(x > 0, x, 2*x) | g*where(x > 0, 1, 2) ; where x != 0
vjp | x | relu(x)**2 | 2*g*relu(x)
!vjp | x | relu(x)**2 | g*relu(x)
"""


@dataclass(frozen=True)
class Rule:
    """A claim, its truth, and which indices of its texts are free."""

    claim: Claim
    true: bool
    free: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return self.claim.id


def rules() -> Iterator[Rule]:
    """The rules of the table."""
    for number, line in enumerate(TEXT.replace("\\\n", "").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        head, _, condition = line.partition(" ; where ")
        kind, by, function, claim = (part.strip() for part in head.split(" | "))
        true = not kind.startswith("!")
        yield rule(f"{number}", kind.lstrip("!"), by, function, claim, condition, true)


def rule(name: str, kind: str, by: str, function: str, claim: str, condition: str, true: bool) -> Rule:
    """One rule, over the tensors that it names."""
    used = {n: a for n, a in AXES.items() if _names(n, f"{function} {claim} {by}")}
    domain = {"s": ">0"} if "s" in used else {}
    if "t" in used:
        domain["t"] = "index"
    free: dict[str, str] = {}
    left = function.partition("=")[0].strip() if "[" in function.partition("=")[0] else ""
    out = left[left.index("[") + 1 : -1].replace(",", " ") if left.endswith("]") and "sum" not in left else ""
    inside = by[by.index("[") + 1 : -1].replace(",", " ") if "[" in by else ""
    if kind == "jacobian" and inside:
        free["claim"] = f"{out} {inside}"
    elif inside:
        free["claim"] = inside
    elif kind == "vjp" and "[" in claim and out and "[:" not in claim:
        free["claim"] = "a i"
    return Rule(
        Claim(f"{name}: {kind} of {function}", function, (by,) if by != '-' else (), claim, domain,
              (condition,) if condition else (), kind, used, None),  # type: ignore[arg-type]
        true,
        free,
    )  # fmt: skip


def _names(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w'.]){name}(?![\w'(=])", text) is not None
