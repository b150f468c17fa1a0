"""Derivative rules as frameworks and textbooks state them: function | by | claim | domain | conditions.

All of them hold; `scalar_claims.py` makes wrong ones of them.
"""

from __future__ import annotations

_R = "x: real"
_XY = "x: real; y: real"
_P = "x: >0"
_S = "1/(1+exp(-x))"
_N = "exp(-x**2/2)/sqrt(2*pi)"
_GT = "sqrt(2/pi)*(x+0.044715*x**3)"
_ELU = "Piecewise((x, x > 0), (a*(exp(x)-1), True))"
_HUBER = "Piecewise((x**2/2, Abs(x) <= d), (d*(Abs(x)-d/2), True))"
_DENSITY = "exp(-(x-m)**2/(2*s**2))/(s*sqrt(2*pi))"
_BETA = "(a-1)*log(x)+(b-1)*log(1-x)-(loggamma(a)+loggamma(b)-loggamma(a+b))"
_T = "gamma((n+1)/2)/(gamma(n/2)*sqrt(n*pi))*(1+x**2/n)**(-(n+1)/2)"
_XMS = "x: real; m: real; s: >0"
_AB = "x: real; a: (-3,0); b: (1,3)"
_SMOOTH = "Piecewise((0.5*x**2/b, Abs(x) < b), (Abs(x)-0.5*b, True))"
_UNIT = "x: (0,1); a: >0; b: >0"
_MISH = "tanh(log(1+exp(x)))"

RULES = f"""
# arithmetic
x+y | y | 1 | {_XY}
x-y | y | -1 | {_XY}
x*y | x | y | {_XY}
x*y+z | x | y | {_XY}; z: real
x/y | x | 1/y | {_XY} | y != 0
x/y | y | -x/(y*y) | {_XY} | y != 0
1/x | x | -1/x**2 | {_R} | x != 0
(x-a)/(x+a) | x | 2*a/(x+a)**2 | x: >0; a: >0
x**2 | x | 2*x | {_R}
Abs(x)**2 | x | 2*x | {_R}
x**3 | x | 3*x**2 | {_R}
x**-2 | x | -2*x**-3 | {_R} | x != 0
x**n | x | n*x**(n-1) | {_P}; n: real
x**n | x | n*x**(n-1) | x: real; n: integer>=1
x**n | x | n*x**n/x | x: real; n: integer>=2 | x != 0
x**-n | x | -n*x**(-n-1) | x: real; n: integer>=1 | x != 0
x**y | y | x**y*log(x) | {_P}; y: real
x**x | x | x**x*(1+log(x)) | {_P}
(a*x+b)**n | x | a*n*(a*x+b)**(n-1) | {_P}; a: >0; b: >0; n: real
sqrt(x) | x | 1/(2*sqrt(x)) | {_P}
sqrt(x) | x | sqrt(x)/(2*x) | {_P}
1/sqrt(x) | x | -(1/sqrt(x))/(2*x) | {_P}
1/sqrt(x) | x | -0.5*(1/sqrt(x))**3 | {_P}
cbrt(x) | x | 1/(3*cbrt(x)**2) | {_R} | x != 0
cbrt(x) | x | cbrt(x)/(3*x) | {_R} | x != 0
x**(2/3) | x | 2/(3*x**(1/3)) | {_P}
sqrt(x**2+y**2) | x | x/sqrt(x**2+y**2) | {_XY} | Or(x != 0, y != 0)
hypot(x,y) | y | y/hypot(x,y) | {_XY} | x**2+y**2 > 0
x*2**k | x | 2**k | x: real; k: integer
x*(1-x) | x | 1-2*x | {_R}
x/(1+x**2) | x | (1-x**2)/(1+x**2)**2 | {_R}
# exponentials and logarithms
exp(x) | x | exp(x) | {_R}
exp(-x**2/2) | x | -x*exp(-x**2/2) | {_R}
exp(a*x) | a | x*exp(a*x) | x: real; a: real
2**x | x | 2**x*log(2) | {_R}
10**x | x | 10**x*log(10) | {_R}
exp2(x) | x | exp2(x)*log(2) | {_R}
expm1(x) | x | expm1(x)+1 | {_R}
log(x) | x | 1/x | {_P}
log(Abs(x)) | x | 1/x | {_R} | x != 0
log(x)/log(b) | x | 1/(x*log(b)) | {_P}; b: >1
log(x)/log(b) | b | -log(x)/(b*log(b)**2) | {_P}; b: >1
log2(x) | x | 1/(x*log(2)) | {_P}
log10(x) | x | 1/(x*log(10)) | {_P}
log1p(x) | x | 1/(1+x) | x: >-1
log(1+x**2) | x | 2*x/(1+x**2) | {_R}
x*log(x) | x | 1+log(x) | {_P}
-x*log(x) | x | -log(x)-1 | {_P}
x*exp(x) | x | (1+x)*exp(x) | {_R}
log(1+exp(x)) | x | 1/(1+exp(-x)) | {_R}
log(exp(x)-1) | x | exp(x-log(exp(x)-1)) | {_P}
log(1-exp(x)) | x | -exp(x-log(1-exp(x))) | x: <0
log(2-exp(x)) | x | -exp(x)/(2-exp(x)) | x: <0
log(1+x)-x | x | -x/(1+x) | x: >-1
log(x)-x+1 | x | (1-x)/x | {_P}
log(exp(x)+exp(y)) | y | exp(y)/(exp(x)+exp(y)) | {_XY}
log(exp(x)-exp(y)) | x | 1/(1-exp(y-x)) | {_XY} | x > y
log(exp(x)-exp(y)) | y | -1/(exp(x-y)-1) | {_XY} | x > y
logaddexp(x,y) | x | exp(x-logaddexp(x,y)) | {_XY}
log(-log(1-x)) | x | -1/((1-x)*log(1-x)) | x: (0,1)
1-exp(-exp(x)) | x | exp(x-exp(x)) | {_R}
log(x/(1-x)) | x | 1/(x*(1-x)) | x: (0,1)
logit(x) | x | 1/x + 1/(1-x) | x: (0,1)
xlogy(x,y) | x | log(y) | {_XY} | y > 0
xlogy(x,y) | y | x/y | x: real; y: >0
xlog1py(x,y) | y | x/(1+y) | x: real; y: >-1
# circular functions
sin(x) | x | cos(x) | {_R}
cos(x) | x | -sin(x) | {_R}
tan(x) | x | 1+tan(x)**2 | x: (-1.5,1.5)
tan(x) | x | 1/cos(x)**2 | x: (-1.5,1.5)
1/tan(x) | x | -(1+1/tan(x)**2) | x: (0.1,1.4)
1/cos(x) | x | tan(x)/cos(x) | x: (-1.5,1.5)
1/sin(x) | x | -cos(x)/sin(x)**2 | x: (0.1,3)
sec(x) | x | sec(x)*tan(x) | x: (-1.5,1.5)
csc(x) | x | -csc(x)*cot(x) | x: (0.1,3)
sin(pi*x) | x | pi*cos(pi*x) | {_R}
cos(pi*x) | x | -pi*sin(pi*x) | {_R}
sin(pi*x/180) | x | pi/180*cos(pi*x/180) | {_R}
cos(x*pi/180) | x | -(pi/180)*sin(x*pi/180) | {_R}
sin(x)*cos(x) | x | cos(2*x) | {_R}
sin(x)**2 | x | sin(2*x) | {_R}
sin(pi*x)/(pi*x) | x | (cos(pi*x)-sin(pi*x)/(pi*x))/x | {_R} | x != 0
sin(x)/x | x | (x*cos(x)-sin(x))/x**2 | {_R} | x != 0
cos(pi*x)/x-sin(pi*x)/(pi*x**2) | x | -pi*sin(pi*x)/x-2*cos(pi*x)/x**2+2*sin(pi*x)/(pi*x**3) | {_R} | x != 0
asin(x) | x | 1/sqrt(1-x**2) | x: (-1,1)
acos(x) | x | -1/sqrt(1-x**2) | x: (-1,1)
atan(x) | x | 1/(1+x**2) | {_R}
atan(1/x) | x | -1/(1+x**2) | {_R} | x != 0
acos(1/x) | x | 1/(Abs(x)*sqrt(x**2-1)) | x: |x|>1
asin(1/x) | x | -1/(Abs(x)*sqrt(x**2-1)) | x: |x|>1
asin(1/x) | x | -1/(x**2*sqrt(1-x**-2)) | x: |x|>1
asin(x)*180/pi | x | 180/pi/sqrt(1-x**2) | x: (-1,1)
acos(x)*180/pi | x | -180/pi/sqrt(1-x**2) | x: (-1,1)
atan(x)*180/pi | x | 180/pi/(1+x**2) | {_R}
asin(1/x)*180/pi | x | -(180/pi)/(Abs(x)*sqrt(x**2-1)) | x: |x|>1
atan(1/x)*180/pi | x | -180/(pi*(1+x**2)) | {_R} | x != 0
atan2(y,x) | y | x/(x**2+y**2) | {_P}; y: real
atan2(y,x) | x | -y/(x**2+y**2) | {_P}; y: real
atan2(y,x) | x | -y/(x**2+y**2) | {_XY} | y != 0
# hyperbolic functions
sinh(x) | x | cosh(x) | {_R}
cosh(x) | x | sinh(x) | {_R}
tanh(x) | x | 1-tanh(x)**2 | {_R}
tanh(x) | x | 1/cosh(x)**2 | {_R}
1/tanh(x) | x | 1-1/tanh(x)**2 | {_R} | x != 0
1/cosh(x) | x | -tanh(x)/cosh(x) | {_R}
1/sinh(x) | x | -(1/tanh(x))*(1/sinh(x)) | {_R} | x != 0
asinh(x) | x | 1/sqrt(x**2+1) | {_R}
acosh(x) | x | 1/sqrt(x**2-1) | x: >1
acosh(x) | x | 1/(sqrt(x-1)*sqrt(x+1)) | x: >1
atanh(x) | x | 1/(1-x**2) | x: (-1,1)
atanh(1/x) | x | 1/(1-x**2) | x: |x|>1
acosh(1/x) | x | -1/(x*sqrt(1-x**2)) | x: (0,1)
asinh(1/x) | x | -1/(Abs(x)*sqrt(1+x**2)) | {_R} | x != 0
log(cosh(x)) | x | tanh(x) | {_R}
log(Abs(sinh(x))) | x | 1/tanh(x) | {_R} | x != 0
sqrt(1-exp(-2*x)) | x | exp(-2*x)/sqrt(1-exp(-2*x)) | {_P}
# activations
{_S} | x | {_S}*(1-{_S}) | {_R}
sigmoid(x) | x | sigmoid(x)*(1-sigmoid(x)) | {_R}
-log(1+exp(-x)) | x | 1/(1+exp(x)) | {_R}
logsigmoid(x) | x | 1-sigmoid(x) | {_R}
x/(1+exp(-x)) | x | {_S}+x*{_S}*(1-{_S}) | {_R}
silu(x) | x | silu(x)+sigmoid(x)*(1-silu(x)) | {_R}
x*{_MISH} | x | {_MISH}+x*(1-{_MISH}**2)*{_S} | {_R}
log(1+exp(b*x))/b | x | 1-1/(1+exp(b*x)) | x: real; b: >0
0.5*x*(1+erf(x/sqrt(2))) | x | 0.5*(1+erf(x/sqrt(2)))+x*{_N} | {_R}
0.5*x*(1+tanh({_GT})) | x | 0.5*(1+tanh({_GT}))+0.5*x*(1-tanh({_GT})**2)*sqrt(2/pi)*(1+0.134145*x**2) | {_R}
x*{_S.replace("-x", "-1.702*x")} | x | (1+exp(-1.702*x)*(1+1.702*x))/(1+exp(-1.702*x))**2 | {_R}
Max(x,0) | x | Piecewise((1, x > 0), (0, True)) | {_R} | x != 0
Max(x,0) | x | Heaviside(x) | {_R} | x != 0
Max(x,0)+a*Min(x,0) | x | Piecewise((1, x > 0), (a, True)) | x: real; a: real | x != 0
Max(x,0)+a*Min(x,0) | a | Piecewise((0, x > 0), (x, True)) | x: real; a: real
Min(Max(x,0),6) | x | Piecewise((1, And(x > 0, x < 6)), (0, True)) | {_R} | x != 0; x != 6
Min(Max(x,a),b) | x | Piecewise((1, And(x > a, x < b)), (0, True)) | {_AB} | x != a; x != b
Max(-1,Min(x,1)) | x | Piecewise((1, Abs(x) < 1), (0, True)) | {_R} | Abs(x) != 1
{_ELU} | x | Piecewise((1, x > 0), (a*exp(x), True)) | x: real; a: >0 | x != 0
Piecewise((x, x > 0), (exp(x)-1, True)) | x | Piecewise((1, x > 0), (exp(x), True)) | {_R}
{_ELU} | x | Piecewise((1, x > 0), ({_ELU}+a, True)) | x: real; a: >0 | x != 0
celu(x,a) | x | Piecewise((1, x > 0), (exp(x/a), True)) | x: real; a: >0
elu(x) | x | Min(1,exp(x)) | {_R}
x*Min(Max(x+3,0),6)/6 | x | Piecewise((0, x < -3), (x/3+1/2, x <= 3), (1, True)) | {_R} | x != -3; x != 3
hardsigmoid(x) | x | Piecewise((1/6, And(x > -3, x < 3)), (0, True)) | {_R} | Abs(x) != 3
softshrink(x) | x | Piecewise((1, Abs(x) > 1/2), (0, True)) | {_R} | Abs(x) != 1/2
hardshrink(x) | x | Piecewise((1, Abs(x) > 0.5), (0, True)) | {_R} | Abs(x) != 0.5
x-tanh(x) | x | tanh(x)**2 | {_R}
x/(1+Abs(x)) | x | 1/(1+Abs(x))**2 | {_R}
threshold(x,1,2) | x | Piecewise((1, x > 1), (0, True)) | {_R} | x != 1
(x+sqrt(x**2+4))/2 | x | (1+x/sqrt(x**2+4))/2 | {_R}
a/(1+exp(-b)) | b | a*exp(-b)/(1+exp(-b))**2 | a: real; b: real
# what has corners or jumps
Abs(x) | x | sign(x) | {_R} | x != 0
Abs(x) | x | x/Abs(x) | {_R} | x != 0
sign(x) | x | 0 | {_R} | x != 0
Max(x,y) | x | Heaviside(x-y) | {_XY} | x != y
Min(x,y) | y | Piecewise((1, y < x), (0, True)) | {_XY} | x != y
Max(x,y) | x | (1+sign(x-y))/2 | {_XY} | x != y
x*Abs(x) | x | 2*Abs(x) | {_R}
Max(x,0)**2 | x | 2*Max(x,0) | {_R}
floor(x) | x | 0 | {_R} | Ne(x,floor(x))
ceiling(x) | x | 0 | x: (0.2,0.8)
x-floor(x) | x | 1 | {_R} | x != floor(x)
x-y*floor(x/y) | x | 1 | x: (0.1,3); y: (0.7,2) | Ne(x/y,floor(x/y))
x-y*floor(x/y) | y | -floor(x/y) | x: (0.1,3); y: (0.7,2) | Ne(x/y,floor(x/y))
Mod(x,y) | x | 1 | x: real; y: >0 | Ne(x/y,floor(x/y))
Piecewise((x**2/2, Abs(x) < 1), (Abs(x)-1/2, True)) | x | Piecewise((x, Abs(x) < 1), (sign(x), True)) | {_R}
{_HUBER} | x | Max(-d,Min(x,d)) | x: real; d: >0
{_HUBER} | d | Piecewise((0, Abs(x) <= d), (Abs(x)-d, True)) | x: real; d: >0
{_SMOOTH} | x | Piecewise((x/b, Abs(x) < b), (sign(x), True)) | x: real; b: >0
Piecewise((sin(x)/x, x != 0), (1, True)) | x | Piecewise((cos(x)/x-sin(x)/x**2, x != 0), (0, True)) | {_R}
Max(0,1-x*y) | x | Piecewise((-y, x*y < 1), (0, True)) | {_XY} | x*y != 1
Max(0,1-x)**2 | x | -2*Max(0,1-x) | {_R}
# losses
(x-y)**2 | x | 2*(x-y) | {_XY}
Abs(x-y) | y | sign(y-x) | {_XY} | x != y
-(t*log(x)+(1-t)*log(1-x)) | x | (x-t)/(x*(1-x)) | x: (0,1); t: [0,1]
(1-t)*x+log(1+exp(-x)) | x | (1-t)-exp(-x)/(1+exp(-x)) | x: real; t: (0,1)
(1-t)*x+(1+(p-1)*t)*log(1+exp(-x)) | x | (1-t)-(1+(p-1)*t)/(1+exp(x)) | x: real; t: (0,1); p: >0
log(1+exp(-x*y)) | x | -y/(1+exp(x*y)) | {_XY}
exp(x)-t*x | x | exp(x)-t | x: real; t: >0
x-t*log(x+e1) | x | 1-t/(x+e1) | x: >0; t: >0; e1: >0
(log(v)+(x-m)**2/v)/2 | m | (m-x)/v | x: real; m: real; v: >0
(log(v)+(x-m)**2/v)/2 | v | (1-(x-m)**2/v)/(2*v) | x: real; m: real; v: >0
t*(log(t)-x) | x | -t | x: real; t: >0
t*(log(t)-x) | t | log(t)+1-x | x: real; t: >0
exp(t)*(t-x) | t | exp(t)*(t-x+1) | x: real; t: real
exp(x)/(exp(x)+exp(y)) | x | exp(x)/(exp(x)+exp(y))*(1-exp(x)/(exp(x)+exp(y))) | {_XY}
x-log(exp(x)+exp(y)) | x | 1-exp(x)/(exp(x)+exp(y)) | {_XY}
x-log(exp(x)+exp(y)) | y | -exp(y-log(exp(x)+exp(y))) | {_XY}
x/sqrt(x**2+y**2) | x | y**2/(x**2+y**2)**(3/2) | {_XY} | x**2+y**2 > 0
x/sqrt(x**2+y**2+c) | y | -x*y/(x**2+y**2+c)**1.5 | {_XY}; c: >0
-(1-p)**2*log(p) | p | 2*(1-p)*log(p)-(1-p)**2/p | p: (0,1)
# error functions and the normal distribution
erf(x) | x | 2/sqrt(pi)*exp(-x**2) | {_R}
erfc(x) | x | -2/sqrt(pi)*exp(-x**2) | {_R}
erfi(x) | x | 2/sqrt(pi)*exp(x**2) | {_R}
erfinv(x) | x | sqrt(pi)/2*exp(erfinv(x)**2) | x: (-1,1)
erfcinv(x) | x | -sqrt(pi)/2*exp(erfcinv(x)**2) | x: (0,2)
exp(x**2)*erfc(x) | x | 2*x*exp(x**2)*erfc(x)-2/sqrt(pi) | {_R}
log(erfc(x)) | x | -2*exp(-x**2)/(sqrt(pi)*erfc(x)) | {_R}
dawson(x) | x | 1-2*x*dawson(x) | {_R}
(1+erf(x/sqrt(2)))/2 | x | {_N} | {_R}
normcdf(x) | x | normpdf(x) | {_R}
log((1+erf(x/sqrt(2)))/2) | x | 2*{_N}/(1+erf(x/sqrt(2))) | {_R}
log(erfc(-x/sqrt(2))/2) | x | sqrt(2/pi)*exp(-x**2/2)/erfc(-x/sqrt(2)) | {_R}
{_N} | x | -x*{_N} | {_R}
ndtri(p) | p | sqrt(2*pi)*exp(ndtri(p)**2/2) | p: (0,1)
-(x-m)**2/(2*s**2)-log(s)-log(2*pi)/2 | m | (x-m)/s**2 | {_XMS}
-(x-m)**2/(2*s**2)-log(s)-log(2*pi)/2 | s | (x-m)**2/s**3-1/s | {_XMS}
{_DENSITY} | s | ((x-m)**2/s**3-1/s)*{_DENSITY} | {_XMS}
(1+erf((x-m)/(s*sqrt(2))))/2 | m | -{_DENSITY} | {_XMS}
(1+erf((x-m)/(s*sqrt(2))))/2 | s | -(x-m)/s*{_DENSITY} | {_XMS}
fresnels(x) | x | sin(pi*x**2/2) | {_R}
fresnelc(x) | x | cos(pi*x**2/2) | {_R}
# the gamma family
gamma(x) | x | gamma(x)*digamma(x) | x: (0.1,6)
gamma(x) | x | digamma(x)*gamma(x) | x: (-1.95,-1.05)
1/gamma(x) | x | -digamma(x)/gamma(x) | {_P}
loggamma(x) | x | digamma(x) | {_P}
log(Abs(gamma(x))) | x | digamma(x) | x: (-0.95,-0.05)
lgamma(x) | x | digamma(x) | {_R}
digamma(x) | x | trigamma(x) | {_P}
digamma(x) | x | polygamma(1,x) | {_P}
trigamma(x) | x | polygamma(2,x) | {_P}
polygamma(n,x) | x | polygamma(n+1,x) | {_P}; n: integer>=1
polygamma(3,x) | x | polygamma(4,x) | {_P}
gamma(a)*gamma(b)/gamma(a+b) | a | gamma(a)*gamma(b)/gamma(a+b)*(digamma(a)-digamma(a+b)) | a: >0; b: >0
beta(a,b) | b | beta(a,b)*(digamma(b)-digamma(a+b)) | a: >0; b: >0
loggamma(a)+loggamma(b)-loggamma(a+b) | a | digamma(a)-digamma(a+b) | a: >0; b: >0
gamma(n+1)/(gamma(k+1)*gamma(n-k+1)) | k | (digamma(n-k+1)-digamma(k+1))*binomial(n,k) | n: (3,5); k: (0.2,2)
gamma(z+m)/gamma(z) | z | (digamma(z+m)-digamma(z))*gamma(z+m)/gamma(z) | z: >0; m: >0
gamma(x+1) | x | gamma(x)+x*gamma(x)*digamma(x) | {_P}
uppergamma(a,x) | x | -x**(a-1)*exp(-x) | {_P}; a: >0
lowergamma(a,x) | x | exp((a-1)*log(x)-x) | {_P}; a: >0
lowergamma(a,x)/gamma(a) | x | exp(-x)*x**(a-1)/gamma(a) | {_P}; a: >0
gammaincc(a,x) | x | -exp(-x)*x**(a-1)/gamma(a) | {_P}; a: >0
gammainc(a,x) | x | exp(-x+(a-1)*log(x)-loggamma(a)) | {_P}; a: >0
uppergamma(floor(k)+1,m)/gamma(floor(k)+1) | m | -exp(k*log(m)-m-loggamma(k+1)) | m: >0; k: integer>=0
betainc(a,b,x) | x | x**(a-1)*(1-x)**(b-1)/beta(a,b) | a: >0; b: >0; x: (0,1)
{_BETA} | x | (a-1)/x-(b-1)/(1-x) | {_UNIT}
{_BETA} | a | log(x)-digamma(a)+digamma(a+b) | {_UNIT}
(a-1)*log(x)-x-loggamma(a) | a | log(x)-digamma(a) | x: >0; a: >0
(a-1)*log(x)-x-loggamma(a) | x | (a-1)/x-1 | x: >0; a: >0
(k/2-1)*log(x)-x/2-k/2*log(2)-loggamma(k/2) | k | (log(x)-log(2)-digamma(k/2))/2 | x: >0; k: >0
(k/2-1)*log(x)-x/2-k/2*log(2)-loggamma(k/2) | x | (k-x-2)/(2*x) | x: >0; k: >0
k*log(m)-m-loggamma(k+1) | m | (k-m)/m | m: >0; k: integer>=0
loggamma((n+1)/2)-loggamma(n/2)-log(n*pi)/2-(n+1)/2*log(1+y**2/n) | y | -y*(n+1)/(n+y**2) | y: real; n: >0
{_T} | x | -(n+1)*x/(n+x**2)*{_T} | x: real; n: >0
# Bessel and Airy functions
besselj(0,x) | x | -besselj(1,x) | x: (0.1,8)
besselj(1,x) | x | (besselj(0,x)-besselj(2,x))/2 | {_R}
besselj(1,x) | x | besselj(0,x)-besselj(1,x)/x | x: (0.1,8)
bessely(0,x) | x | -bessely(1,x) | {_P}
bessely(1,x) | x | bessely(0,x)-bessely(1,x)/x | {_P}
besseli(0,x) | x | besseli(1,x) | {_R}
besseli(1,x) | x | besseli(0,x)-besseli(1,x)/x | x: (0.1,5)
besselk(0,x) | x | -besselk(1,x) | {_P}
besselk(1,x) | x | -besselk(0,x)-besselk(1,x)/x | {_P}
besselj(n,x) | x | (besselj(n-1,x)-besselj(n+1,x))/2 | x: real; n: integer
besselj(n,x) | x | n/x*besselj(n,x)-besselj(n+1,x) | {_P}; n: real
bessely(n,x) | x | bessely(n-1,x)-n/x*bessely(n,x) | {_P}; n: real
besseli(n,x) | x | (besseli(n-1,x)+besseli(n+1,x))/2 | {_P}; n: real
besselk(n,x) | x | -(besselk(n-1,x)+besselk(n+1,x))/2 | {_P}; n: real
besselj(2,x) | x | besselj(1,x)-2*besselj(2,x)/x | x: (0.1,8)
besselj(2.5,x) | x | (besselj(1.5,x)-besselj(3.5,x))/2 | {_P}
exp(-Abs(x))*besseli(0,x) | x | exp(-Abs(x))*besseli(1,x)-sign(x)*exp(-Abs(x))*besseli(0,x) | {_R} | x != 0
exp(-Abs(x))*besseli(1,x) | x | exp(-Abs(x))*(besseli(0,x)-besseli(1,x)*(sign(x)+1/x)) | {_R} | x != 0
exp(x)*besselk(0,x) | x | exp(x)*(besselk(0,x)-besselk(1,x)) | {_P}
airyai(x) | x | airyaiprime(x) | {_R}
airybi(x) | x | airybiprime(x) | {_R}
airyaiprime(x) | x | x*airyai(x) | {_R}
spherical_jn(0,x) | x | -spherical_jn(1,x) | {_P}
# integrals, zeta functions, and others
Si(x) | x | sin(x)/x | {_R} | x != 0
Ci(x) | x | cos(x)/x | {_P}
Shi(x) | x | sinh(x)/x | {_R} | x != 0
Chi(x) | x | cosh(x)/x | {_P}
Ei(x) | x | exp(x)/x | {_R} | x != 0
li(x) | x | 1/log(x) | x: >1
expint(1,x) | x | -exp(-x)/x | {_P}
expint(2,x) | x | -expint(1,x) | {_P}
expint(n,x) | x | -expint(n-1,x) | {_P}; n: integer>=2
exp(x)*expint(1,x) | x | exp(x)*expint(1,x)-1/x | {_P}
elliptic_k(m) | m | (elliptic_e(m)/(1-m)-elliptic_k(m))/(2*m) | m: (0,1)
elliptic_e(m) | m | (elliptic_e(m)-elliptic_k(m))/(2*m) | m: (0,1)
elliptic_e(m) | m | (elliptic_e(m)-elliptic_k(m))/(2*m) | m: (-2,1) | m != 0
elliptic_f(x,m) | x | 1/sqrt(1-m*sin(x)**2) | x: (-1,1); m: (0,1)
elliptic_e(x,m) | x | sqrt(1-m*sin(x)**2) | x: (-1,1); m: (0,1)
zeta(s,a) | a | -s*zeta(s+1,a) | s: >1; a: >0
zeta(3,a) | a | -3*zeta(4,a) | a: >0
polylog(2,x) | x | -log(1-x)/x | x: (0,1)
polylog(3,x) | x | polylog(2,x)/x | x: (0,1)
spence(x) | x | log(x)/(1-x) | x: (0,1)
LambertW(x) | x | LambertW(x)/(x*(1+LambertW(x))) | {_P}
LambertW(x) | x | 1/(x+exp(LambertW(x))) | x: >0
hyp1f1(a,b,x) | x | a/b*hyp1f1(a+1,b+1,x) | a: >0; b: >0; x: real
hyp2f1(a,b,c,x) | x | a*b/c*hyp2f1(a+1,b+1,c+1,x) | a: >0; b: >0; c: >0; x: (-1,1)
hyp0f1(b,x) | x | hyp0f1(b+1,x)/b | b: >0; x: real
# higher derivatives
tanh(x) | x x | -2*tanh(x)*(1-tanh(x)**2) | {_R}
sigmoid(x) | x x | sigmoid(x)*(1-sigmoid(x))*(1-2*sigmoid(x)) | {_R}
log(1+exp(x)) | x x | exp(x)/(1+exp(x))**2 | {_R}
erf(x) | x x | -4*x/sqrt(pi)*exp(-x**2) | {_R}
x**2*y**3 | x y | 6*x*y**2 | {_XY}
log(exp(x)+exp(y)) | x y | -exp(x+y)/(exp(x)+exp(y))**2 | {_XY}
sin(a*x) | x x x | -a**3*cos(a*x) | x: real; a: real
loggamma(x) | x x | trigamma(x) | {_P}
besselj(0,x) | x x | besselj(1,x)/x-besselj(0,x) | {_P}
x**n | x x | n*(n-1)*x**(n-2) | {_P}; n: real
airyai(x) | x x | x*airyai(x) | {_R}
sqrt(1+x**2) | x x | (1+x**2)**(-3/2) | {_R}
x/(1+exp(-x)) | x x | {_S}*(1-{_S})*(2+x*(1-2*{_S})) | {_R}
"""
