"""Models are kept between uses inside a block, one user at a time, and a bounded number of them."""

import pytest

from cot.kept_models import EMBEDDER, Kept, borrow, keep_models, remember


class Loader:
    """Loads what is asked for and notes it."""

    def __init__(self):
        self.loaded, self.freed = [], []

    def borrow(self, kind, model="m", options=(), condition=lambda value: None):
        key = Kept(kind=kind, model=model, options=options)
        name = f"{kind} {model} {options}".removesuffix(" ()")

        def load():
            self.loaded.append(name)
            return [name]

        return borrow(
            key, load, free=lambda value: self.freed.append(value[0]), condition=condition
        )


@pytest.fixture
def loader():
    return Loader()


def use(loader, *given, **named):
    loader.borrow(*given, **named).close()


def test_outside_a_block_each_use_loads_and_frees(loader):
    for _ in range(2):
        use(loader, "vllm")
    assert loader.loaded == loader.freed == ["vllm m"] * 2


def test_inside_a_block_a_model_is_loaded_once_and_freed_at_its_end(loader):
    with keep_models():
        for _ in range(3):
            use(loader, "vllm")
            use(loader, "transformers")
            use(loader, EMBEDDER, "e")
        with keep_models():
            use(loader, "vllm")
        assert loader.loaded == ["vllm m", "transformers m", "embedder e"]
        assert loader.freed == []
    assert sorted(loader.freed) == sorted(loader.loaded)
    use(loader, "vllm")
    assert loader.loaded.count("vllm m") == 2


def test_a_model_in_use_is_not_handed_out_again(loader):
    with keep_models():
        one, other = loader.borrow("vllm"), loader.borrow("vllm")
        assert one.value is not other.value
        one.close()
        other.close()
        assert loader.freed == ["vllm m"], "one of the two is kept"
        assert loader.borrow("vllm").value is one.value


def test_few_models_are_idle_at_a_time(loader):
    with keep_models():
        use(loader, "transformers", "a")
        use(loader, EMBEDDER, "e")
        use(loader, "transformers", "a", options="bfloat16")
        assert loader.freed == ["transformers a"], "one of a kind"
        use(loader, "vllm", "a")
        use(loader, "vllm", "b")
        assert sorted(loader.freed[1:]) == ["transformers a bfloat16", "vllm a"], "of one model"
        use(loader, EMBEDDER, "e")
        assert loader.loaded.count("embedder e") == 1


@pytest.mark.slow
def test_a_gpu_is_left_to_the_model_in_use(loader, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with keep_models():
        use(loader, "vllm")
        use(loader, "vllm")
        assert loader.loaded == ["vllm m"]
        transformers = loader.borrow("transformers")
        assert loader.freed == ["vllm m"]
        transformers.close()


def test_a_model_that_comes_back_changed_is_not_handed_on(loader):
    with keep_models():
        loan = loader.borrow("transformers", condition=len)
        loan.value.append("a hook that was left behind")
        loan.close()
        assert loader.freed == ["transformers m"]
        assert len(loader.borrow("transformers", condition=len).value) == 1


def test_what_is_small_is_loaded_once_and_shared():
    made = []

    def get():
        return remember(Kept(kind="tokenizer", model="m"), lambda: made.append(1) or object())

    assert get() is not get()
    with keep_models():
        assert get() is get()
    get()
    assert len(made) == 4


@pytest.mark.model
def test_weights_that_were_written_over_and_hooks_left_behind_are_noticed():
    import torch

    from cot.models import borrow_model, resolve

    model = resolve("smollm2-135m-instruct")
    with keep_models():
        first = borrow_model(model, device="cpu")
        with torch.no_grad():
            first.value.lm_head.weight.sum().requires_grad  # noqa: B018 - reading changes nothing
        first.close()
        second = borrow_model(model, dtype="float32")
        assert second.value is first.value, "auto is float32 on a CPU"
        handle = second.value.lm_head.register_forward_hook(lambda *_: None)
        second.close()
        third = borrow_model(model)
        assert third.value is not first.value
        handle.remove()
        with torch.no_grad():
            third.value.model.norm.weight.mul_(2)
        third.close()
        assert borrow_model(model).value is not third.value


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.filterwarnings("ignore")  # what vLLM warns of is its own
def test_vllm_is_kept_and_forgets_what_it_has_read():
    from vllm import SamplingParams

    from cot.engines.vllm import VllmEngine
    from cot.types import Request, Sampling

    ids = tuple(range(100, 200))
    sampling = Sampling(n=1, temperature=0.7, max_tokens=8)
    request = Request(question_id="q", sample_index=0, prompt=ids, sampling=sampling, seed=7)

    def ask():
        engine = VllmEngine("smollm2-135m-instruct", max_model_len=256)
        ((_, done),) = engine.generate([request])
        llm = engine.llm
        engine.close()
        return llm, done

    with keep_models():
        one, first = ask()
        other, second = ask()
        assert one is other
        assert first.token_ids == second.token_ids
        params = SamplingParams(max_tokens=1)
        (output,) = one.generate([{"prompt_token_ids": list(ids)}], params, use_tqdm=False)
        assert output.num_cached_tokens == 0
