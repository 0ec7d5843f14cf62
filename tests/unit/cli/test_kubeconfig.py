import pytest
import yaml

import modelrollout.cli.kubeconfig as module
from modelrollout.cli.failures import Failure
from modelrollout.cli.kubeconfig import Options, locate


def config(path, *contexts, current=None):
    found = [
        {
            "name": name,
            "context": {"cluster": "c", "user": f"user-of-{name}", **({"namespace": space} if space else {})},
        }
        for name, space in contexts
    ]
    path.write_text(yaml.safe_dump({"contexts": found, "current-context": current or ""}))
    return path


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "_POD_NAMESPACE", tmp_path / "no-pod")


def test_the_current_context_gives_namespace_and_user(tmp_path):
    file = config(tmp_path / "a", ("dev", "ml"), ("prod", None), current="dev")
    target = locate(Options(kubeconfig=str(file)))
    assert (target.context, target.namespace, target.user) == ("dev", "ml", "user-of-dev")


def test_options_go_over_the_file(tmp_path):
    file = config(tmp_path / "a", ("dev", "ml"), ("prod", None), current="dev")
    assert locate(Options(kubeconfig=str(file), context="prod")).namespace == "default"
    assert locate(Options(kubeconfig=str(file), namespace="risk")).namespace == "risk"


def test_of_several_files_the_first_that_speaks_wins(tmp_path, monkeypatch):
    first = config(tmp_path / "a", ("dev", "first"))
    second = config(tmp_path / "b", ("dev", "second"), ("prod", "p"), current="prod")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    target = locate(Options())
    assert (target.context, target.namespace) == ("prod", "p")
    assert target.paths == f"{first}:{second}"
    assert locate(Options(context="dev")).namespace == "first"


def test_the_home_file_is_the_last_resort(tmp_path):
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    config(tmp_path / "home" / ".kube" / "config", ("dev", None), current="dev")
    assert locate(Options()).context == "dev"


def test_inside_a_pod_its_service_account_is_used(tmp_path, monkeypatch):
    (tmp_path / "namespace").write_text("ci\n")
    monkeypatch.setattr(module, "_POD_NAMESPACE", tmp_path / "namespace")
    target = locate(Options())
    assert (target.paths, target.namespace) == (None, "ci")


def test_an_unknown_context_is_named_with_those_that_are_known(tmp_path):
    file = config(tmp_path / "a", ("dev", None), ("prod", None), current="dev")
    with pytest.raises(Failure, match=r'no context "stage" in .*: name one with --context \(found dev, prod\)'):
        locate(Options(kubeconfig=str(file), context="stage"))


def test_a_file_without_current_context_asks_for_one(tmp_path):
    file = config(tmp_path / "a", ("dev", None))
    with pytest.raises(Failure, match=r"names no current context: name one with --context \(found dev\)"):
        locate(Options(kubeconfig=str(file)))


def test_no_file_at_all_says_what_was_looked_for(tmp_path):
    with pytest.raises(Failure, match=r"\.kube/config does not exist; set KUBECONFIG or name a --kubeconfig"):
        locate(Options())
    with pytest.raises(Failure, match="--kubeconfig: there is no file /nowhere"):
        locate(Options(kubeconfig="/nowhere"))


def test_a_file_that_is_no_kubeconfig_is_named(tmp_path):
    (tmp_path / "a").write_text("just: [text")
    with pytest.raises(Failure, match="is not a kubeconfig file that can be read"):
        locate(Options(kubeconfig=str(tmp_path / "a")))
