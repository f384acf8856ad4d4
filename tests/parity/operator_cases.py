"""The cases of make-goldens.py for libtorch's own operators: usual, broadcast, negative dims, strided, odd and empty shapes."""

UNARY_ANY = "neg abs sign exp expm1 square sin cos tanh erf floor ceil round trunc relu silu sigmoid isnan isinf isfinite logical_not log_sigmoid".split()
UNARY_POSITIVE = "log log2 log1p sqrt rsqrt reciprocal".split()
COMPARISONS = "eq ne lt le gt ge".split()


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def declare(g):
    T, case, ids, bools = g.T, g.case, g.ids, g.bools

    # ---- arithmetic and other elementwise operators ----
    def pairs():
        yield T(3, 5), T(3, 5)
        yield T(2, 1, 4), T(3, 1)
        yield T(4, 3, layout="transposed"), T(3)
        yield T(0, 3), T(3)
        yield T(), T(2)

    for name in ["add", "sub"]:
        for a, b in pairs():
            case(name, f"aten::{name}.Tensor", a, b)
        case(name, f"aten::{name}.Tensor", T(3), T(2, 3), alpha=-0.5)
        case(name, f"aten::{name}.Tensor", ids(4), ids(4), dtypes=("int64",), alpha=3)
        for number in [2, 0.5]:
            case(name, f"aten::{name}.Scalar", T(2, 3), number)
        case(name, f"aten::{name}.Scalar", T(7), 2, alpha=0.25)
        case(name, f"aten::{name}.Scalar", ids(4), 1, dtypes=("int64",))
        case(f"{name}_", f"aten::{name}_.Tensor", T(2, 3), T(3), alpha=2)
        case(f"{name}_", f"aten::{name}_.Tensor", T(3, 2, layout="transposed"), T(2))
        case(f"{name}_", f"aten::{name}_.Scalar", T(2, 3), 0.5)
        case(f"{name}_", f"aten::{name}_.Scalar", T(0), 1)
    for name in ["mul", "div", "remainder"]:
        for a, _ in pairs():
            case(name, f"aten::{name}.Tensor", a, T(*a.spec["shape"][-1:], fill="positive"))
        case(name, f"aten::{name}.Scalar", T(3, 4), -1.5)
        case(name, f"aten::{name}.Scalar", T(0, 2), 2)
        case(name, f"aten::{name}.Scalar", ids(5), 2, dtypes=("int64",))
    case("mul", "aten::mul.Tensor", T(2, 1, 4), T(3, 1))
    for name in ["mul", "div"]:
        case(f"{name}_", f"aten::{name}_.Tensor", T(2, 3), T(3, fill="positive"))
        case(f"{name}_", f"aten::{name}_.Scalar", T(2, 3), 4)
    for mode in ["floor", "trunc"]:
        case("div", "aten::div.Tensor_mode", T(2, 5), T(5, fill="positive"), roundingMode=mode)
        case("div", "aten::div.Scalar_mode", T(2, 5), 0.75, roundingMode=mode)
        case("div", "aten::div.Scalar_mode", ids(6, low=-7, high=9), 3, dtypes=("int64",), roundingMode=mode)
    case("div", "aten::div.Tensor", T(3), T(3, fill="edges", grad=False))
    for power in [2, 3, 0.5, -1]:
        case("pow", "aten::pow.Tensor_Scalar", T(2, 3, fill="positive"), power)
    case("pow", "aten::pow.Tensor_Tensor", T(2, 3, fill="positive"), T(3))
    for name in ["maximum", "minimum"]:
        for a, b in pairs():
            case(name, f"aten::{name}", a, b)
        case(name, f"aten::{name}", T(16, fill="edges", grad=False), T(16, grad=False))
    for name in ["lerp", "lerp_"]:
        case(name, f"aten::{name}.Scalar", T(2, 3), T(3), 0.25)
        case(name, f"aten::{name}.Tensor", T(2, 3), T(2, 3), T(3))
    for name in ["addcmul", "addcmul_"]:
        case(name, f"aten::{name}", T(2, 3), T(2, 3), T(3))
        case(name, f"aten::{name}", T(2, 3), T(2, 1), T(3), value=-0.5)
    for name in ["addcdiv", "addcdiv_"]:
        case(name, f"aten::{name}", T(2, 3), T(2, 3), T(3, fill="positive"))
        case(name, f"aten::{name}", T(2, 3), T(2, 1), T(3, fill="positive"), value=-0.5)
    case("clamp", "aten::clamp", T(3, 5), min=-0.5, max=1)
    case("clamp", "aten::clamp", T(3, 5), max=0.25)
    case("clamp", "aten::clamp", T(16, fill="edges"), min=-1)
    case("clamp", "aten::clamp.Tensor", T(3, 5), min=T(5))
    # Bounds between the values: at a bound the gradient is 1 up to libtorch 2.13, and split from 2.14 on.
    between = T(5, fill="list", low=[odd / 128 for odd in (-65, 33, -129, 17, 97)])
    case("clamp", "aten::clamp.Tensor", T(3, 5), min=between, max=T(3, 1, fill="positive"))
    case("clamp_", "aten::clamp_", T(3, 5), min=-0.5, max=1)
    for name in UNARY_ANY + UNARY_POSITIVE:
        kind = "positive" if name in UNARY_POSITIVE else "spread"
        case(camel(name), f"aten::{name}", T(3, 7, fill=kind, layout="transposed"))
        case(camel(name), f"aten::{name}", T(0, 3, fill=kind))
        case(camel(name), f"aten::{name}", T(fill=kind))
        if name != "log_sigmoid":
            case(camel(name), f"aten::{name}", T(16, fill="edges", grad=False))
    for name in ["neg_", "sign_", "zero_"]:
        case(name, f"aten::{name}", T(2, 3))
        case(name, f"aten::{name}", T(0))
    case("sqrt_", "aten::sqrt_", T(2, 3, fill="positive"))
    for name in COMPARISONS:
        for a, b in pairs():
            case(name, f"aten::{name}.Tensor", a, b)
        case(name, f"aten::{name}.Tensor", ids(6), ids(6), dtypes=("int64",))
        case(name, f"aten::{name}.Scalar", T(3, 5), 0.5)
        case(name, f"aten::{name}.Scalar", ids(6), 2, dtypes=("int64",))
        case(name, f"aten::{name}.Scalar", T(16, fill="edges"), 0)
    same = T(2, 3)
    case("equal", "aten::equal", same, same)
    case("equal", "aten::equal", T(2, 3), T(2, 3))
    case("equal", "aten::equal", T(2, 3), T(3, 2))
    for name in ["allclose", "isclose"]:
        case(name, f"aten::{name}", same, same)
        case(name, f"aten::{name}", T(4), T(4))
        case(name, f"aten::{name}", T(4), T(4), atol=8.0)
        case(name, f"aten::{name}", T(4, fill="positive"), T(4, fill="positive"), rtol=100.0)
        case(name, f"aten::{name}", T(16, fill="edges"), T(16, fill="edges"), equalNan=True)
    for name in ["logical_and", "logical_or", "logical_xor"]:
        case(camel(name), f"aten::{name}", bools(3, 4), bools(4), dtypes=("float32",))
        case(camel(name), f"aten::{name}", T(5), bools(5))
    for name in ["bitwise_and", "bitwise_or", "bitwise_xor"]:
        case(camel(name), f"aten::{name}.Tensor", ids(3, 4, high=99), ids(4, high=99), dtypes=("int64",))
        case(camel(name), f"aten::{name}.Tensor", bools(5), bools(5), dtypes=("float32",))
        case(camel(name), f"aten::{name}.Scalar", ids(7, high=99), 12, dtypes=("int64",))
    case("where", "aten::where.self", bools(3, 4), T(3, 4), T(4))
    case("where", "aten::where.self", bools(2, 1), T(3), T())
    case("where", "aten::where.ScalarOther", bools(3, 4), T(3, 4), -1.5)

    # ---- reductions ----
    for name in ["sum", "mean"]:
        dims = f"aten::{name}.{'dim_IntList' if name == 'sum' else 'dim'}"
        case(name, f"aten::{name}", T(3, 5))
        case(name, f"aten::{name}", T(3, 5, layout="transposed"), dtype="float32")
        case(name, dims, T(2, 3, 4), -1)
        case(name, dims, T(2, 3, 4), [0, -1], keepdim=True)
        case(name, dims, T(0, 3), 0)
        case(name, dims, T(2, 3), 1, dtype="float64")
    case("sum", "aten::sum", bools(7), dtypes=("float32",))
    case("prod", "aten::prod", T(2, 3))
    case("prod", "aten::prod.dim_int", T(2, 3, 2), -2, keepdim=True)
    for name in ["std", "var"]:
        case(name, f"aten::{name}.correction", T(2, 5))
        case(name, f"aten::{name}.correction", T(2, 3, 5), -1, correction=0, keepdim=True)
        case(name, f"aten::{name}.correction", T(2, 3, 5), [0, 2])
    case("norm", "aten::linalg_vector_norm", T(3, 5))
    for order in [1, 2, 3, float("inf"), 0]:
        case("norm", "aten::linalg_vector_norm", T(3, 5), order, 1)
    case("norm", "aten::linalg_vector_norm", T(3, 5), 2, [0, 1], keepdim=True, dtype="float32")
    for name in ["amax", "amin"]:
        case(name, f"aten::{name}", T(3, 5))
        case(name, f"aten::{name}", T(3, 5, 2), [-1, 0], keepdim=True)
    for name in ["max", "min"]:
        case(name, f"aten::{name}", T(3, 5))
        case(name, f"aten::{name}.dim", T(3, 5), -1)
        case(name, f"aten::{name}.dim", T(3, 0, 5), 0, keepdim=True)
    for name in ["argmax", "argmin"]:
        case(name, f"aten::{name}", T(3, 5))
        case(name, f"aten::{name}", T(3, 5), -1, keepdim=True)
    for name in ["any", "all"]:
        case(name, f"aten::{name}", bools(3, 4), dtypes=("float32",))
        case(name, f"aten::{name}", bools(0), dtypes=("float32",))
        case(name, f"aten::{name}.dim", bools(3, 4), -1, dtypes=("float32",), keepdim=True)
    case("logsumexp", "aten::logsumexp", T(3, 5), -1)
    case("logsumexp", "aten::logsumexp", T(3, 5), [0, 1], keepdim=True)
    for name in ["cumsum", "cumprod"]:
        case(name, f"aten::{name}", T(3, 5), -1)
        case(name, f"aten::{name}", T(0, 2), 0)
        case(name, f"aten::{name}", T(3, 5), 0, dtype="float64")
    case("countNonzero", "aten::count_nonzero", bools(3, 4), dtypes=("float32",))
    case("countNonzero", "aten::count_nonzero", ids(3, 4), 1, dtypes=("int64",))
    case("bincount", "aten::bincount", ids(20), dtypes=("int64",))
    case("bincount", "aten::bincount", ids(6), dtypes=("float32",), weights=T(6, grad=False), minlength=9)

    # ---- products ----
    case("matmul", "aten::matmul", T(5), T(5))
    case("matmul", "aten::matmul", T(3, 5), T(5))
    case("matmul", "aten::matmul", T(3, 5), T(5, 7))
    case("matmul", "aten::matmul", T(2, 1, 3, 5), T(4, 5, 2))
    case("matmul", "aten::matmul", T(5, 3, layout="transposed"), T(3, 1))
    case("matmul", "aten::matmul", T(0, 3), T(3, 2))
    case("mm", "aten::mm", T(3, 5), T(5, 7))
    case("mm", "aten::mm", T(3, 0), T(0, 2))
    case("bmm", "aten::bmm", T(2, 3, 5), T(2, 5, 4))
    case("dot", "aten::dot", T(7), T(7))
    case("outer", "aten::outer", T(3), T(4))
    case("addmm", "aten::addmm", T(7), T(3, 5), T(5, 7))
    case("addmm", "aten::addmm", T(3, 7), T(3, 5), T(5, 7), beta=0.5, alpha=2)
    case("baddbmm", "aten::baddbmm", T(2, 3, 4), T(2, 3, 5), T(2, 5, 4))
    case("baddbmm", "aten::baddbmm", T(4), T(2, 3, 5), T(2, 5, 4), beta=2, alpha=0.25)

    # ---- indexing ----
    case("select", "aten::select.int", T(3, 5), -1, 2)
    case("select", "aten::select.int", T(3, 5), 0, -1)
    case("narrow", "aten::narrow", T(3, 5), 1, 1, 3)
    case("narrow", "aten::narrow", T(3, 5), -2, -2, 0)
    case("slice", "aten::slice.Tensor", T(9, 2), 0, 1, 8, step=3)
    case("slice", "aten::slice.Tensor", T(9, 2), 0, -3)
    case("slice", "aten::slice.Tensor", T(2, 4), -1, 0, 99)
    case("index", "aten::index.Tensor", T(5, 3), [ids(4)])
    case("index", "aten::index.Tensor", T(2, 5, 3), [None, ids(2, 3, low=-5)])
    case("index", "aten::index.Tensor", T(5, 3), [ids(4), ids(4, high=3)])
    case("index", "aten::index.Tensor", T(5, 3), [bools(5)])
    case("indexPut", "aten::index_put", T(5, 3), [ids(4)], T(3), accumulate=True)
    case("indexPut", "aten::index_put", T(5, 3), [T(1, dtype="int64", fill="integers"), None], T(3))
    case("indexSelect", "aten::index_select", T(5, 3), 0, ids(7))
    case("indexSelect", "aten::index_select", T(3, 5), -1, ids(0))
    for name in ["index_add", "index_add_"]:
        case("indexAdd" + name[9:], f"aten::{name}", T(5, 3), 0, ids(6), T(6, 3))
        case("indexAdd" + name[9:], f"aten::{name}", T(3, 5), -1, ids(2), T(3, 2), alpha=-2)
    case("indexCopy_", "aten::index_copy_", T(5, 3), 0, T(1, dtype="int64", fill="integers"), T(1, 3))
    case("gather", "aten::gather", T(3, 5), 1, ids(3, 2))
    case("gather", "aten::gather", T(5, 3), -2, ids(2, 3))
    case("gather", "aten::gather", T(5, 3), 0, ids(0, 3))
    single = T(1, 3, dtype="int64", fill="integers")
    for name in ["scatter", "scatter_"]:
        case(name, f"aten::{name}.src", T(5, 3), 0, single, T(1, 3))
        case(name, f"aten::{name}.value", T(5, 3), -2, single, 1.5)
    for name in ["scatter_add", "scatter_add_"]:
        case("scatterAdd" + name[11:], f"aten::{name}", T(5, 3), 0, ids(4, 3), T(4, 3))
    for name in ["masked_fill", "masked_fill_"]:
        entry = "maskedFill" + name[11:]
        case(entry, f"aten::{name}.Scalar", T(3, 4), bools(4), -1e4)
        case(entry, f"aten::{name}.Scalar", T(3, 4), bools(3, 1), float("-inf"))
        case(entry, f"aten::{name}.Tensor", T(3, 4), bools(4), T())
    case("maskedSelect", "aten::masked_select", T(3, 4), bools(4))
    case("nonzero", "aten::nonzero", bools(3, 4), dtypes=("float32",))
    case("nonzero", "aten::nonzero", T(0, 2))
    case("topk", "aten::topk", T(3, 9), 4)
    case("topk", "aten::topk", T(9, 3), 2, 0, largest=False, sorted=True)
    for descending in [True, False]:
        case("sort", "aten::sort", T(3, 9), 0, descending=descending)
        case("sort", "aten::sort.stable", ids(40), dtypes=("int64",), descending=descending, stable=True)
        case("argsort", "aten::argsort", T(3, 9), -1, descending=descending)
    case("sort", "aten::sort", T(5))
    case("oneHot", "aten::one_hot", ids(2, 3), dtypes=("int64",))
    case("oneHot", "aten::one_hot", ids(4), 9, dtypes=("int64",))
    for name in ["tril", "triu"]:
        case(name, f"aten::{name}", T(4, 5))
        case(name, f"aten::{name}", T(2, 4, 4), -1)
    case("diagonal", "aten::diagonal", T(4, 5))
    case("diagonal", "aten::diagonal", T(2, 4, 5), offset=1, dim1=-2, dim2=-1)
    case("searchsorted", "aten::searchsorted.Tensor", ids(1), ids(6, low=-2, high=9), dtypes=("int64",))
    case("searchsorted", "aten::searchsorted.Tensor", ids(1, high=3), ids(2, 3), dtypes=("int64",), right=True)

    # ---- shape ----
    case("reshape", "aten::reshape", T(3, 4, layout="transposed"), [2, -1])
    case("view", "aten::view", T(3, 4), [-1])
    case("flatten", "aten::flatten.using_ints", T(2, 3, 4))
    case("flatten", "aten::flatten.using_ints", T(2, 3, 4), 1, -1)
    case("unflatten", "aten::unflatten.int", T(2, 12), -1, [3, -1])
    case("squeeze", "aten::squeeze", T(1, 3, 1))
    case("squeeze", "aten::squeeze.dim", T(1, 3, 1), -1)
    case("unsqueeze", "aten::unsqueeze", T(3), -1)
    case("transpose", "aten::transpose.int", T(2, 3, 4), 0, -1)
    case("t", "aten::t", T(2, 3))
    case("permute", "aten::permute", T(2, 3, 4), [2, 0, -2])
    case("movedim", "aten::movedim.int", T(2, 3, 4), 0, -1)
    case("expand", "aten::expand", T(3, 1), [2, -1, 4])
    case("expandAs", "aten::expand_as", T(3, 1), T(2, 3, 4))
    case("repeat", "aten::repeat", T(2, 3), [2, 1, 2])
    case("repeatInterleave", "aten::repeat_interleave.self_int", T(2, 3), 2, -1)
    case("repeatInterleave", "aten::repeat_interleave.self_int", T(2, 3), 3)
    case("repeatInterleave", "aten::repeat_interleave.self_Tensor", T(2, 3), ids(3, high=4), 1)
    case("flip", "aten::flip", T(2, 3), [0, -1])
    case("roll", "aten::roll", T(2, 3), 1)
    case("roll", "aten::roll", T(2, 3), [1, -1], [0, 1])
    case("split", "aten::split.Tensor", T(7, 2), 3)
    case("split", "aten::split_with_sizes", T(2, 7), [1, 4, 2], -1)
    case("chunk", "aten::chunk", T(7, 2), 3)
    case("unbind", "aten::unbind.int", T(2, 3), -1)
    case("contiguous", "aten::contiguous", T(2, 3, layout="transposed"))
    case("clone", "aten::clone", T(2, 3, layout="transposed"))
    case("detach", "aten::detach", T(2, 3))
    case("alias", "aten::alias", T(2, 3))
    for target in ["float64", "bfloat16", "float16", "int32", "bool"]:
        case("to", "aten::to.dtype", T(3, 4), target)
    case("to", "aten::to.dtype_layout", T(3, 4), dtype="float64", device="cpu", copy=True)
    case("to", "aten::to.dtype", T(8, fill="edges", grad=False), "float16")

    # ---- activations, layers, losses ----
    for approximate in ["none", "tanh"]:
        case("gelu", "aten::gelu", T(3, 7), approximate=approximate)
    case("gelu", "aten::gelu", T(0, 7))
    case("softplus", "aten::softplus", T(3, 7))
    case("softplus", "aten::softplus", T(3, 7), beta=2, threshold=1)
    case("leakyRelu", "aten::leaky_relu", T(3, 7), negativeSlope=0.2)
    case("elu", "aten::elu", T(3, 7), alpha=0.5)
    for name in ["softmax", "log_softmax"]:
        case(camel(name), f"aten::{name}.int", T(3, 7), -1)
        case(camel(name), f"aten::{name}.int", T(2, 3, 4), 1)
        case(camel(name), f"aten::{name}.int", T(3, 7), 0, dtype="float32")
        case(camel(name), f"aten::{name}.int", T(2, 0), -1)
    case("layerNorm", "aten::layer_norm", T(3, 7), [7])
    case("layerNorm", "aten::layer_norm", T(2, 3, 4), [3, 4], weight=T(3, 4), bias=T(3, 4), eps=1e-3)
    case("layerNorm", "aten::layer_norm", T(0, 4), [4], weight=T(4))
    case("rmsNorm", "aten::rms_norm", T(3, 7), [7])
    case("rmsNorm", "aten::rms_norm", T(3, 7), [7], weight=T(7), eps=1e-3)
    labels = T(6, fill="integers", dtype="int64", low=0, high=4)
    for reduction in ["mean", "sum", "none"]:
        case("crossEntropy", "aten::cross_entropy_loss", T(6, 4), labels, reduction=reduction)
        case("crossEntropy", "aten::cross_entropy_loss", T(6, 4), labels, reduction=reduction, ignoreIndex=2, labelSmoothing=0.1)
        case("nllLoss", "aten::nll_loss", T(6, 4), labels, reduction=reduction, ignoreIndex=1)
        case("binaryCrossEntropy", "aten::binary_cross_entropy", T(3, 4, fill="middle"), T(3, 4, fill="middle", grad=False), reduction=reduction)
        case("binaryCrossEntropyWithLogits", "aten::binary_cross_entropy_with_logits", T(3, 4), T(3, 4, fill="middle", grad=False), reduction=reduction)
        case("mseLoss", "aten::mse_loss", T(3, 4), T(3, 4), reduction=reduction)
        case("l1Loss", "aten::l1_loss", T(3, 4), T(3, 4), reduction=reduction)
        case("smoothL1Loss", "aten::smooth_l1_loss", T(3, 4), T(3, 4), reduction=reduction, beta=0.5)
        case("klDiv", "aten::kl_div", T(3, 4), T(3, 4, fill="middle", grad=False), reduction=reduction)
    case("crossEntropy", "aten::cross_entropy_loss", T(6, 4), labels, weight=T(4, fill="positive", grad=False))
    case("crossEntropy", "aten::cross_entropy_loss", T(2, 4, 3), T(2, 3, fill="integers", dtype="int64", low=0, high=4))
    case("crossEntropy", "aten::cross_entropy_loss", T(3, 4), T(3, 4, fill="middle", grad=False))
    case("nllLoss", "aten::nll_loss", T(6, 4), labels, weight=T(4, fill="positive", grad=False))
    case("binaryCrossEntropy", "aten::binary_cross_entropy", T(3, 4, fill="middle"), T(3, 4, fill="middle", grad=False), weight=T(4, grad=False))
    case("binaryCrossEntropyWithLogits", "aten::binary_cross_entropy_with_logits", T(3, 4), T(3, 4, fill="middle", grad=False), weight=T(4, grad=False), posWeight=T(4, fill="positive", grad=False))
    case("klDiv", "aten::kl_div", T(3, 4), T(3, 4, grad=False), logTarget=True)

    # ---- in place ----
    case("fill_", "aten::fill_.Scalar", T(2, 3), 1.5)
    case("fill_", "aten::fill_.Tensor", T(2, 3), T())
    case("copy_", "aten::copy_", T(2, 3), T(3))
    case("copy_", "aten::copy_", T(2, 3), T(3, dtype="float64"), nonBlocking=False)

    # ---- random: libtorch's stream for a seed is PyTorch's ----
    stream = {"generator": 1234}
    case("bernoulli", "aten::bernoulli", T(5, 7, fill="middle"), generator=stream)
    for size in [7, 40]:
        case("normal_", "aten::normal_", T(size, grad=False), 0.5, 2, generator=stream)
        case("uniform_", "aten::uniform_", T(size, grad=False), -1, 3, generator=stream)
        case("bernoulli_", "aten::bernoulli_.float", T(size, grad=False), 0.3, generator=stream)
    case("normal_", "aten::normal_", T(5, grad=False), seed=3)
    case("uniform_", "aten::uniform_", T(5, grad=False), seed=3)
    case("multinomial", "aten::multinomial", T(3, 6, fill="positive"), 4, dtypes=("float32",), generator=stream)
    case("multinomial", "aten::multinomial", T(6, fill="positive"), 9, dtypes=("float32",), replacement=True, generator=stream)
    for dtype in ["float32", "bfloat16", "float64"]:
        case("rand", "aten::rand.generator", [3, 4], dtypes=("float32",), generator=stream, dtype=dtype)
        case("randn", "aten::randn.generator", [3, 4], dtypes=("float32",), generator=stream, dtype=dtype)
    case("rand", "aten::rand", [20], dtypes=("float32",), seed=5)
    case("randn", "aten::randn", [20], dtypes=("float32",), seed=5)
    case("randint", "aten::randint.low", -3, 9, [20], dtypes=("float32",), seed=5, dtype="int64")
    case("randint", "aten::randint.low_generator", 0, 50000, [4, 5], dtypes=("float32",), generator=stream, dtype="int64")
    case("randperm", "aten::randperm", 13, dtypes=("float32",), seed=5, dtype="int64")
    case("randperm", "aten::randperm.generator", 13, dtypes=("float32",), generator=stream, dtype="int64")

    # ---- making tensors ----
    def made(entry, operator, *args, **options):
        case(entry, operator, *args, dtypes=("float32",), **options)

    for name, keep in [("zeros", True), ("ones", True), ("empty", False)]:
        operator = "aten::empty.memory_format" if name == "empty" else f"aten::{name}"
        for shape, dtype in [([2, 3], "float32"), ([0, 2], "int64"), ([], "bfloat16"), ([2], "bool")]:
            made(name, operator, shape, dtype=dtype, values=keep)
        made(name, operator, [3], values=keep)
        for options in [{}, {"dtype": "int32"}, {"device": "cpu"}]:
            made(f"{name}Like", f"aten::{name}_like", T(2, 3, grad=False), values=keep, **options)
    made("fullLike", "aten::full_like", T(2, 3), 1.5)
    made("fullLike", "aten::full_like", T(0), 2, dtype="int64")
    made("eye", "aten::eye", 3)
    made("eye", "aten::eye.m", 2, 4, dtype="int64")
    made("arange", "aten::arange", 5)
    made("arange", "aten::arange", 5, dtype="float32")
    made("arange", "aten::arange.start_step", 2, 9, step=3)
    made("arange", "aten::arange.start_step", 1, 0, step=-0.25)
    made("linspace", "aten::linspace", -1, 2, 7)
    case("cat", "aten::cat", [T(2, 3), T(1, 3), T(0, 3)])
    case("cat", "aten::cat", [T(2, 3), T(2, 1)], -1)
    case("stack", "aten::stack", [T(2, 3), T(2, 3)], -1)
    case("einsum", "aten::einsum", "bij,bjk->bik", [T(2, 3, 4), T(2, 4, 5)])
    case("einsum", "aten::einsum", "ij->ji", [T(3, 4)])
    case("padSequence", "aten::pad_sequence", [T(3, 2), T(1, 2), T(2, 2)])
    case("padSequence", "aten::pad_sequence", [T(3), T(1)], batchFirst=True, paddingValue=-1, paddingSide="left")
    attention = "aten::scaled_dot_product_attention"
    entry = "scaledDotProductAttention"
    case(entry, attention, T(2, 3, 5, 4), T(2, 3, 7, 4), T(2, 3, 7, 4))
    case(entry, attention, T(1, 2, 5, 4), T(1, 2, 5, 4), T(1, 2, 5, 4), isCausal=True, scale=0.3)
    case(entry, attention, T(1, 4, 5, 4), T(1, 2, 6, 4), T(1, 2, 6, 4), enableGqa=True)
    case(entry, attention, T(2, 2, 3, 4), T(2, 2, 4, 4), T(2, 2, 4, 4), attnMask=T(3, 4, grad=False))
