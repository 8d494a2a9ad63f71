"""Wrong derivatives as people write them: papers and their errata, forum posts, kernels, exam papers.

Each entry: a name, the loss, its shapes, what it is differentiated by, the claim, and the kinds of slip that
would be a right diagnosis. An empty set: wrong in a way that no single known slip explains.
"""

NEURON = "mean((y - relu(X @ w + b))**2)", {"X": "N d", "w": "d", "b": "", "y": "N"}
NAMED = "z = X @ w + b; a = relu(z); mean((y - a)**2)", NEURON[1]
LINEAR = "mean((X @ w - y)**2)", {"X": "N d", "w": "d", "y": "N"}
RIDGE = "mean((X @ w - y)**2) + lam*(w @ w)", {**LINEAR[1], "lam": ""}
LOGISTIC = "a = sigmoid(X @ w); -mean(y*log(a) + (1 - y)*log(1 - a))", LINEAR[1]
SIGMOID = "z = X @ w; a = sigmoid(z); mean((a - y)**2)", LINEAR[1]
MLP = (
    "Z = X @ W1 + b1; H = tanh(Z); E = H @ W2 - Y; sum(E**2)/N",
    {"X": "N d", "W1": "d h", "b1": "h", "W2": "h k", "Y": "N k"},
)
SQUARE = "Z = X @ W1; H = tanh(Z); E = H @ W2 - Y; sum(E**2)", {n: "n n" for n in ("X", "W1", "W2", "Y")}
SOFTMAX = "P = softmax(Z, axis=1); sum(G*P)", {"Z": "N k", "G": "N k"}
ENTROPY = "P = softmax(X @ W, axis=1); -sum(Y*log(P))/N", {"X": "N d", "W": "d k", "Y": "N k"}
LOGITS = "P = softmax(Z, axis=1); -sum(Y*log(P))/N", {"Z": "N k", "Y": "N k"}
ATTENTION = (
    "P = softmax(Q @ K.T/sqrt(d), axis=1); sum(G*(P @ V))",
    {"Q": "n d", "K": "n d", "V": "n d", "G": "n d"},
)
SCORES = "P = softmax(S, axis=1); sum(G*(P @ V))", {"S": "n n", "V": "n d", "G": "n d"}
RMS = "s = sqrt(mean(x**2) + eps); sum(c*g*x/s)", {"x": "n", "c": "n", "g": "n", "eps": ""}
LAYER = (
    "m = mean(x); s = sqrt(mean((x - m)**2) + eps); h = (x - m)/s; sum(c*h)",
    {"x": "n", "c": "n", "eps": ""},
)
BATCH = (
    "s = sqrt(mean((X - mean(X, axis=0))**2, axis=0) + eps); H = (X - mean(X, axis=0))/s; sum(C*gamma*H)",
    {"X": "N d", "C": "N d", "gamma": "d", "eps": ""},
)
NORMALISED = (
    "m = mean(X, axis=0); v = mean((X - m)**2, axis=0); H = (X - m)/sqrt(v + eps); sum(G*H)",
    {"X": "N d", "G": "N d", "eps": ""},
)
HINGE = "m = 1 - y*(X @ w); mean(relu(m))", LINEAR[1]
QUADRATIC = "x @ A @ x", {"x": "n", "A": "n n"}
MATRICES = {"A": "n n", "B": "n n", "X": "n n"}
SPLIT = (
    r"\frac{\partial C}{\partial b} = \begin{cases} 0 & \mathbf{w}\cdot\mathbf{x}_i + b \le 0 \\"
    r" \frac{2}{N}\sum_{i=1}^N (\mathbf{w}\cdot\mathbf{x}_i + b - y_i)"
    r" & \mathbf{w}\cdot\mathbf{x}_i + b > 0 \end{cases}"
)
SPLIT_W = (
    r"\frac{\partial C}{\partial\mathbf{w}} ="
    r" \begin{cases} \vec{0}^T & \mathbf{w}\cdot\mathbf{x}_i + b \le 0 \\"
    r" \frac{2}{N}\sum_{i=1}^N (\mathbf{w}\cdot\mathbf{x}_i + b - y_i)\mathbf{x}_i^T"
    r" & \mathbf{w}\cdot\mathbf{x}_i + b > 0 \end{cases}"
)
SPLIT_BOTH = (
    r"\frac{\partial C}{\partial b} = \frac{2}{N}\sum_{i=1}^N"
    r" \begin{cases} 0 & \mathbf{w}\cdot\mathbf{x}_i + b \le 0 \\"
    r" \mathbf{w}\cdot\mathbf{x}_i + b - y_i & \mathbf{w}\cdot\mathbf{x}_i + b > 0 \end{cases} = "
    + SPLIT.split("=", 1)[1]
)
ERRATUM_92 = (
    "X @ outer(a, b) @ (X @ X).T + outer(a, b) @ (X @ X).T @ X + (X @ X) @ outer(a, b) @ X.T"
    " + X.T @ (X @ X) @ outer(a, b)"
)
LAYER_MEANS = "u = c; (u - mean(u) - h*mean(u*h))/s"

BANK = [
    # the neuron of Parr and Howard
    ("older edition of Parr and Howard: the case split outside the sum", *NEURON, "b", SPLIT, {"split"}),
    ("the same for w", *NEURON, "w", SPLIT_W, {"split"}),
    ("the split leaves the sum in the last line only", *NEURON, "b", SPLIT_BOTH, {"split"}),
    ("relu forgotten", *NEURON, "w", "2/N * X.T @ (relu(X @ w + b) - y)", {"mask"}),
    ("relu forgotten, by examples", *NEURON, "w", "−2/N Σᵢ eᵢ xᵢ", {"mask"}),
    ("relu forgotten for b", *NEURON, "b", "2/N*sum(a - y)", {"mask"}),
    ("residual the other way round", *NEURON, "w", "2/N * X.T @ ((y - a)*(z > 0))", {"sign"}),
    ("sum for mean", *NEURON, "w", "2*X.T @ ((a - y)*(z > 0))", {"mean"}),
    ("two lost", *NEURON, "w", "X.T @ ((a - y)*(z > 0))/N", {"factor"}),
    ("one half from a habit", *NEURON, "w", r"\frac{1}{2N} X^\top((a - y) \odot 1[z > 0])", {"factor"}),
    ("mask of the wrong thing", *NEURON, "w", "2/N*X.T @ ((a - y)*(y > 0))", {"part", "mask"}),
    ("mask the wrong way round", *NEURON, "w", "2/N*X.T @ ((a - y)*(z <= 0))", {"mask", "part"}),
    ("no sum for the bias", *NEURON, "b", "2/N*((a - y)*(z > 0))", {"sum"}),
    ("mean twice", *NEURON, "b", "2/N*mean((a - y)*(z > 0))", {"mean"}),
    ("a batch of five", *NEURON, "w", "2/5*X.T @ ((a - y)*(z > 0))", {"mean", "factor"}),
    ("pre-activation for activation", *NAMED, "w", "2/N*X.T @ ((z - y)*(y > 0))", set()),
    (
        "sign lost in the second line",
        *NAMED,
        "w",
        "∂C/∂a = −2/N (y − a)\n∂C/∂z = 2/N (y − a) ⊙ 1[z > 0]\n∂C/∂w = Xᵀ ∂C/∂z",
        {"sign"},
    ),
    (
        "sign lost in a differential",
        *NEURON,
        "w",
        "dC = ⟨2/N e, de⟩ = ⟨2/N e, da⟩ = ⟨2/N e ⊙ 1[z > 0], dz⟩",
        {"sign"},
    ),
    (
        "mask lost in a differential",
        *NEURON,
        "w",
        "dC = ⟨2/N e, de⟩ = −⟨2/N e, da⟩ = −⟨2/N e, dz⟩",
        {"mask", "factor"},
    ),
    # least squares
    ("two over N lost", *LINEAR, "w", "X.T @ (X @ w - y)", {"mean"}),
    ("residual turned", *LINEAR, "w", r"\frac{2}{N} X^T (y - Xw)", {"sign"}),
    ("regulariser forgotten", *RIDGE, "w", "2/N*X.T @ (X @ w - y)", {"missing term"}),
    ("regulariser halved", *RIDGE, "w", "2/N*X.T @ (X @ w - y) + lam*w", {"factor"}),
    ("regulariser subtracted", *RIDGE, "w", "2/N*X.T @ (X @ w - y) - 2*lam*w", {"sign"}),
    (
        "weights of the examples forgotten",
        "sum(c*(X @ w - y)**2)",
        {**LINEAR[1], "c": "N"},
        "w",
        "2*X.T @ (X @ w - y)",
        {"factor"},
    ),
    ("A for its transpose", "sum((A @ X - B)**2)", MATRICES, "X", "2*A @ (A @ X - B)", {"transpose"}),
    ("quadratic form", *QUADRATIC, "x", "2*A @ x", {"symmetric"}),
    ("quadratic form, one side only", *QUADRATIC, "x", "A @ x", {"missing term"}),
    ("quadratic form, LaTeX", *QUADRATIC, "x", r"\nabla_x f = 2 A^\top x", {"symmetric"}),
    # logistic regression
    (
        "slope of sigmoid although the logarithm cancels it",
        *LOGISTIC,
        "w",
        "X.T @ ((a - y)*a*(1 - a))/N",
        {"factor", "slope"},
    ),
    ("sign of the cross-entropy", *LOGISTIC, "w", "X.T @ (y - a)/N", {"sign"}),
    ("mean of the cross-entropy", *LOGISTIC, "w", "X.T @ (a - y)", {"mean"}),
    ("slope of sigmoid forgotten", *SIGMOID, "w", "2/N*X.T @ (a - y)", {"slope"}),
    ("slope of sigmoid with a plus", *SIGMOID, "w", "2/N*X.T @ ((a - y)*a*(1 + a))", {"sign"}),
    ("slope of sigmoid at z", *SIGMOID, "w", "2/N*X.T @ ((a - y)*z*(1 - z))", {"part"}),
    ("slope of sigmoid half", *SIGMOID, "w", "2/N*X.T @ ((a - y)*a)", {"factor", "slope", "missing factor"}),
    # two layers
    ("slope of tanh forgotten", *MLP, "W1", "2/N*X.T @ (E @ W2.T)", {"slope"}),
    ("square forgotten in the slope of tanh", *MLP, "W1", "2/N*X.T @ (E @ W2.T*(1 - H))", {"power"}),
    ("slope of tanh at Z", *MLP, "W1", "2/N*X.T @ (E @ W2.T*(1 - Z**2))", {"part"}),
    ("mean for the bias", *MLP, "b1", "2/N*mean(E @ W2.T*(1 - H**2), axis=0)", {"mean"}),
    ("wrong axis for the bias", *MLP, "b1", "2/N*sum(E @ W2.T*(1 - H**2), axis=1)", {"axis"}),
    ("no sum for the bias of a layer", *MLP, "b1", "2/N*(E @ W2.T*(1 - H**2))", {"sum"}),
    ("second layer from its input", *MLP, "W2", "2/N*Z.T @ E", {"part", "slope"}),
    ("W2 not transposed", *SQUARE, "W1", "2*X.T @ (E @ W2*(1 - H**2))", {"transpose"}),
    ("X not transposed", *SQUARE, "W1", "2*X @ (E @ W2.T*(1 - H**2))", {"transpose"}),
    ("factors in the wrong order", *SQUARE, "W1", "2*(E @ W2.T*(1 - H**2)) @ X.T", {"order"}),
    ("entries for matrices", *SQUARE, "W2", "2*H.T * E", {"product"}),
    # softmax and attention
    ("softmax backward without the row sum", *SOFTMAX, "Z", "P*G", {"missing term"}),
    ("row sum along columns", *SOFTMAX, "Z", "P*(G - sum(P*G, axis=0))", {"axis"}),
    ("row sum without weights", *SOFTMAX, "Z", "P*(G - sum(G, axis=1)[:, None])", {"factor"}),
    ("row sum added", *SOFTMAX, "Z", r"P \odot (G + (P \odot G) \mathbf{1}\mathbf{1}^\top)", {"sign"}),
    ("softmax forgotten", *LOGITS, "Z", "-Y/P/N", {"slope"}),
    ("mean of the cross-entropy of rows", *ENTROPY, "W", "X.T @ (P*sum(Y, axis=1)[:, None] - Y)", {"mean"}),
    ("rows of Y taken to sum to one", *ENTROPY, "W", "X.T @ (P - Y)/N", {"factor", "assumption"}),
    (
        "temperature forgotten",
        "logsumexp(z/t) - (y @ z)/t",
        {"z": "n", "y": "n", "t": ""},
        "z",
        "softmax(z/t) - y",
        {"factor"},
    ),
    (
        "scale of the scores forgotten",
        *ATTENTION,
        "Q",
        "dP = G @ V.T; dS = P*(dP - sum(P*dP, axis=1)[:, None]); dQ = dS @ K",
        {"factor", "mean"},
    ),
    (
        "scores not transposed",
        *ATTENTION,
        "K",
        "dP = G @ V.T; dS = P*(dP - sum(P*dP, axis=1)[:, None])/sqrt(d); dK = dS @ Q",
        {"transpose"},
    ),
    ("probabilities not transposed", *ATTENTION, "V", "P @ G", {"transpose"}),
    ("attention without the row sum", *SCORES, "S", "P*(G @ V.T)", {"missing term"}),
    # normalisation
    ("RMSNorm forgets its weight", *RMS, "x", "c/s - x*sum(c*x)/(n*s**3)", {"factor"}),
    ("RMSNorm without the projection", *RMS, "x", "c*g/s", {"missing term"}),
    ("RMSNorm projection added", *RMS, "x", "c*g/s + x*sum(c*g*x)/(n*s**3)", {"sign"}),
    ("RMSNorm projection with s squared", *RMS, "x", "c*g/s - x*sum(c*g*x)/(n*s**2)", {"power", "factor"}),
    ("RMSNorm projection without the mean", *RMS, "x", "c*g/s - x*sum(c*g*x)/s**3", {"mean", "factor"}),
    ("LayerNorm without the mean term", *LAYER, "x", "(c - h*mean(c*h))/s", {"missing term"}),
    ("LayerNorm without the variance term", *LAYER, "x", "(c - mean(c))/s", {"missing term"}),
    ("LayerNorm on the web", *LAYER, "x", "1/n*(c/s - h/s**2*c*h)", set()),
    ("LayerNorm with a plus", *LAYER, "x", "(c - mean(c) + h*mean(c*h))/s", {"sign"}),
    ("BatchNorm forgets gamma", *BATCH, "X", "(C - mean(C, axis=0) - H*mean(C*H, axis=0))/s", {"factor"}),
    # The Matrix Cookbook and its readers
    (
        "Cookbook 92, first term as printed",
        "a @ (X @ X).T @ X @ X @ b",
        {"a": "n", "b": "n", "X": "n n"},
        "X",
        ERRATUM_92,
        set(),
    ),
    (
        "Cookbook 94, the denominator as printed",
        "((A @ x) @ (A @ x))/(x @ B.T @ B @ x)",
        {"A": "n n", "B": "n n", "x": "n"},
        "x",
        "2*A.T @ A @ x/(x @ B @ B @ x) - 2*(x @ A.T @ A @ x)*(B.T @ B @ x)/(x @ B.T @ B @ x)**2",
        {"transpose"},
    ),
    (
        "Cookbook 127 for any A",
        "trace(inv(A + X.T @ C @ X) @ (X.T @ B @ X))",
        {**{n: "n n" for n in "ABCX"}, "assume": {"B": "symmetric", "C": "symmetric"}},
        "X",
        "M = inv(A + X.T @ C @ X); -2*C @ X @ M @ X.T @ B @ X @ M + 2*B @ X @ M",
        {"symmetric"},
    ),
    ("log det without the transpose", "logdet(X)", {"X": "n n"}, "X", "X^{-1}", {"transpose"}),
    ("det without the transpose", "det(X)", {"X": "n n"}, "X", r"\det(X)\, X^{-1}", {"transpose"}),
    ("log det: the determinant stays", "logdet(X)", {"X": "n n"}, "X", "det(X)*inv(X).T", {"factor"}),
    ("trace of a product", "trace(A @ X @ B)", MATRICES, "X", "B @ A", {"transpose"}),
    (
        "trace with an inverse, as SymPy prints it",
        "trace(A @ inv(X) @ B)",
        MATRICES,
        "X",
        "-inv(X) @ A.T @ B.T @ inv(X)",
        {"symmetric", "transpose"},
    ),
    ("inverse with a plus", "trace(A @ inv(X))", MATRICES, "X", r"X^{-\top} A^\top X^{-\top}", {"sign"}),
    ("trace of a square", "trace(X.T @ B @ X)", MATRICES, "X", "2 B X", {"symmetric"}),
    (
        "eq 82 in a transcription",
        "b @ X.T @ D @ X @ c",
        {"b": "n", "c": "n", "D": "n n", "X": "n n"},
        "X",
        "D.T @ X @ outer(b, c) + D @ X @ outer(b, c)",
        {"order", "part", "transpose"},
    ),
    # school mathematics
    (
        "quotient rule with a plus",
        "x/(1 + x**2)",
        {"x": ""},
        "x",
        "(1 + x**2 + 2*x**2)/(1 + x**2)**2",
        {"sign"},
    ),
    ("product rule, one term", "x**2*sin(x)", {"x": ""}, "x", "2*x*sin(x)", {"missing term"}),
    ("chain rule forgotten", "sin(x**2)", {"x": ""}, "x", "cos(x**2)", {"factor", "slope"}),
    ("power rule, exponent", "x**3", {"x": ""}, "x", "3*x", {"power", "factor"}),
    ("power rule, factor", "sum(x**3)", {"x": "n"}, "x", "x**2", {"factor"}),
    ("exponent forgotten", "sum(exp(-x**2))", {"x": "n"}, "x", "-2*exp(-x**2)", {"factor", "slope"}),
    ("minus of the exponent", "sum(exp(-x**2))", {"x": "n"}, "x", "2 x ⊙ exp(−x²)", {"sign"}),
    ("mean of logarithms", "mean(log(x))", {"x": "n"}, "x", "1/x", {"mean"}),
    ("norm and its square", "norm(x)", {"x": "n"}, "x", "2*x", {"factor"}),
    # more networks
    ("hinge with the sign lost", *HINGE, "w", "X.T @ ((m > 0)*y)/N", {"sign"}),
    ("hinge without y", *HINGE, "w", "-X.T @ (m > 0)/N", {"factor"}),
    ("lasso", "lam*sum(abs(w))", {"w": "d", "lam": ""}, "w", "lam*w", {"factor", "slope"}),
    (
        "dropout forgotten on the way back",
        "sum((D*relu(X @ W) - Y)**2)",
        {"D": "N k", "X": "N d", "W": "d k", "Y": "N k"},
        "W",
        "2*X.T @ ((D*relu(X @ W) - Y)*(X @ W > 0))",
        {"factor"},
    ),
    (
        "skip connection forgotten",
        "sum((x + relu(W @ x) - y)**2)",
        {"x": "n", "W": "n n", "y": "n"},
        "x",
        "e = x + relu(W @ x) - y; 2*W.T @ (e*(W @ x > 0))",
        {"missing term"},
    ),
    (
        "tied weights, decoder only",
        "sum((tanh(X @ W) @ W.T - X)**2)",
        {"X": "N d", "W": "d k"},
        "W",
        "E = tanh(X @ W) @ W.T - X; 2*E.T @ tanh(X @ W)",
        {"missing term"},
    ),
    (
        "one step back in time only",
        "h1 = tanh(U @ x1); h2 = tanh(U @ x2 + V @ h1); sum(c*h2)",
        {"U": "n d", "V": "n n", "x1": "d", "x2": "d", "c": "n"},
        "U",
        "outer(c*(1 - h2**2), x2)",
        {"missing term"},
    ),
    (
        "recurrent weights not transposed",
        "h1 = tanh(U @ x1); h2 = tanh(V @ h1); sum(c*h2)",
        {"U": "n d", "V": "n n", "x1": "d", "c": "n"},
        "U",
        "outer(V @ (c*(1 - h2**2))*(1 - h1**2), x1)",
        {"transpose"},
    ),
    (
        "matrix factorisation without two",
        "sum((U @ V.T - R)**2)",
        {"U": "m k", "V": "n k", "R": "m n"},
        "U",
        "(U @ V.T - R) @ V",
        {"factor"},
    ),
    (
        "LSTM gate, half a slope",
        "f = sigmoid(W @ x); sum(u*(f*c))",
        {"W": "n d", "x": "d", "u": "n", "c": "n"},
        "W",
        "outer(u*c*f, x)",
        {"factor", "slope"},
    ),
    # what students and engineers write of the layers of today
    (
        "BatchNorm without the path through the variance",
        *NORMALISED,
        "X",
        "dH = G; dm = -sum(dH/sqrt(v + eps), axis=0); dX = dH/sqrt(v + eps) + dm/N",
        {"missing term"},
    ),
    (
        "LayerNorm along the examples",
        "D = X - mean(X, axis=1)[:, None]; s = sqrt(mean(D**2, axis=1) + eps); H = D/s[:, None]; sum(G*H)",
        {"X": "N d", "G": "N d", "eps": ""},
        "X",
        "(G - mean(G, axis=0) - H*mean(G*H, axis=0))/s[:, None]",
        {"axis"},
    ),
    (
        "cross-entropy averaged over the classes too",
        "-sum(Y*log_softmax(X @ W, axis=1))/N",
        {"X": "N d", "W": "d k", "Y": "N k"},
        "W",
        "P = softmax(X @ W, axis=1); dW = X.T @ (P*sum(Y, axis=1)[:, None] - Y)/(N*k)",
        {"mean"},
    ),
    (
        "logistic loss with labels of −1 and 1",
        "mean(log(1 + exp(-y*(X @ w))))",
        LINEAR[1],
        "w",
        r"\frac{1}{N} \sum_{i=1}^N y_i \sigma(-y_i w^\top x_i) x_i",
        {"sign"},
    ),
    (
        "weight decay with two where the loss has one half",
        "mean((X @ w - y)**2) + lam/2*sum(w**2)",
        RIDGE[1],
        "w",
        r"\frac{2}{N} X^\top (Xw - y) + 2 \lambda w",
        {"factor"},
    ),
    (
        "a convolution as a product: the kernel not transposed",
        "Y = K @ P; sum((Y - T)**2)",
        {"K": "c c", "P": "c q", "T": "c q"},
        "P",
        "dY = 2*(Y - T); dP = K @ dY",
        {"transpose"},
    ),
    (
        "GELU without x φ(x)",
        "sum((gelu(X @ w) - y)**2)",
        LINEAR[1],
        "w",
        r"2 X^\top ((\mathrm{gelu}(Xw) - y) \odot \Phi(Xw))",
        {"slope", "missing term"},
    ),
    ("a norm taken for its square", "norm(X @ w - y)", LINEAR[1], "w", r"X^\top (Xw - y)", {"factor"}),
    (
        "Huber: δ lost where the slope is cut",
        "r = X @ w - y; sum(where(abs(r) <= delta, r**2/2, delta*(abs(r) - delta/2)))",
        {**LINEAR[1], "delta": ""},
        "w",
        "X.T @ where(abs(r) <= delta, r, sign(r))",
        {"factor"},
    ),
    (
        "cosine similarity with a power of the norm lost",
        "(a @ b)/(norm(a)*norm(b))",
        {"a": "n", "b": "n"},
        "a",
        "b/(norm(a)*norm(b)) - a*(a @ b)/(norm(a)**2*norm(b))",
        {"factor", "power"},
    ),
    (
        "Kullback and Leibler without the product rule",
        "sum(p*log(p/q))",
        {"p": "n", "q": "n"},
        "p",
        "log(p/q)",
        {"missing term"},
    ),
    (
        "Gaussian likelihood with a power of σ lost",
        "sum(log(sigma) + (y - mu)**2/(2*sigma**2))",
        {"y": "n", "mu": "n", "sigma": "n"},
        "sigma",
        "1/sigma - (y - mu)**2/sigma**2",
        {"factor", "power"},
    ),
    (
        "triplet loss without its margin",
        "relu(norm(a - p)**2 - norm(a - n)**2 + m)",
        {"a": "d", "p": "d", "n": "d", "m": ""},
        "a",
        "2*(n - p)",
        {"mask"},
    ),
    (
        "focal loss with the weight held still",
        "-sum(y*(1 - p)**gamma*log(p))",
        {"y": "n", "p": "n", "gamma": ""},
        "p",
        "-y*(1 - p)**gamma/p",
        {"missing term"},
    ),
    (
        "sample variance divided by n",
        "sum((x - mean(x))**2)/(n - 1)",
        {"x": "n"},
        "x",
        "2*(x - mean(x))/n",
        {"mean"},
    ),
    (
        "mean over the wrong size",
        "mean((A @ x - b)**2)",
        {"A": "m n", "x": "n", "b": "m"},
        "x",
        r"\nabla_x f = \frac{2}{n} A^\top (Ax - b)",
        {"mean"},
    ),
    (
        "elastic net without the sign",
        "sum((X @ w - y)**2) + a*sum(abs(w)) + b*sum(w**2)",
        {**LINEAR[1], "a": "", "b": ""},
        "w",
        "2*X.T @ (X @ w - y) + a + 2*b*w",
        {"slope", "factor"},
    ),
    (
        "Swish by the slope of the sigmoid",
        "sum(x*sigmoid(x))",
        {"x": "n"},
        "x",
        "sigmoid(x)*(1 - sigmoid(x))",
        set(),
    ),
]

# Right derivatives in forms that are not gradstep's.
UNUSUAL = [
    ("sum(gelu(z))", {"z": "n"}, "z", r"\frac{\partial C}{\partial z_i} = \Phi(z_i) + z_i \phi(z_i)"),
    (*NORMALISED, "X", "(N*G - sum(G, axis=0) - H*sum(G*H, axis=0))/(N*sqrt(v + eps))"),
    (
        "-sum(Y*log_softmax(X @ W, axis=1))/N",
        {"X": "N d", "W": "d k", "Y": "N k"},
        "W",
        "P = softmax(X @ W, axis=1); dW = -X.T @ (Y - P*np.sum(Y, axis=1, keepdims=True))/N",
    ),
    (
        "mean(log(1 + exp(-y*(X @ w))))",
        LINEAR[1],
        "w",
        r"-\frac{1}{N} \sum_{i=1}^N \frac{y_i x_i}{1 + e^{y_i w^\top x_i}}",
    ),
    (
        "mean((X @ w - y)**2) + lam/2*sum(w**2)",
        RIDGE[1],
        "w",
        r"\left(\frac{2}{N} X^\top X + \lambda I\right) w - \frac{2}{N} X^\top y",
    ),
    (
        ATTENTION[0],
        ATTENTION[1],
        "Q",
        "dP = G @ V.T; D = sum(G*(P @ V), axis=1); dS = P*(dP - D[:, None]); dQ = dS @ K * d**-0.5",
    ),
    (
        "(a @ b)/(norm(a)*norm(b))",
        {"a": "n", "b": "n"},
        "a",
        r"\frac{1}{\|a\|}\left(I - \frac{a a^\top}{\|a\|^2}\right)\frac{b}{\|b\|}",
    ),
    ("sum(x*sigmoid(x))", {"x": "n"}, "x", "f = x*sigmoid(x); f + sigmoid(x)*(1 - f)"),
    ("y @ inv(A) @ x", {"A": "n n", "x": "n", "y": "n"}, "A", r"-(A^{-1})^\top y x^\top (A^\top)^{-1}"),
    ("norm(X @ w - y)", LINEAR[1], "w", r"\frac{X^\top (Xw - y)}{\|Xw - y\|_2}"),
    ("sum((tanh(X @ W) - Y)**2)", ENTROPY[1], "W", "2*X.T @ ((tanh(X @ W) - Y)/cosh(X @ W)**2)"),
    (*LOGISTIC, "w", r"\nabla_w J = \frac{1}{N}\sum_{i=1}^N (\sigma(w^\top x^{(i)}) - y^{(i)}) x^{(i)}"),
]
