"""What is to be watched: from a file, the environment and flags; what could never match ends the process at its start."""

import pytest
import yaml

from modelrollout.api.errors import SettingsError
from modelrollout.kube.kinds import MODEL_DEPLOYMENT
from modelrollout.operator import _arguments, _flags, kopf_settings, main
from modelrollout.runtime.configuration import load_settings


def started(*argv, file=None, environment=None):
    return load_settings(file, environment, _flags(_arguments(argv)))


def test_without_flags_everything_is_watched():
    settings = started()
    assert (settings.namespaces, settings.selector) == ((), None)
    assert settings.selected.matches({})
    assert not list(kopf_settings(settings).watching.label_selectors)


def test_flags_name_namespaces_and_labels():
    settings = started("--namespace", "risk", "--namespace", "ads", "--selector", "shard in (a, b)")
    assert settings.namespaces == ("risk", "ads")
    assert settings.selected.matches({"shard": "b"})
    assert not settings.selected.matches({"shard": "c"})


def test_kopf_asks_the_server_for_the_selected_resources_alone():
    selectors = kopf_settings(started("--selector", "shard=a")).watching.label_selectors
    model = MODEL_DEPLOYMENT
    assert selectors[model.group, model.version, model.plural] == "shard=a"
    assert len(selectors) == 1


def test_a_flag_goes_before_the_environment_and_that_before_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"selector": "shard=file", "namespaces": ["file"], "workers": 3}))
    environment = {"MODELROLLOUT_SELECTOR": "shard=environment", "MODELROLLOUT_NAMESPACES": "[one, two]"}
    settings = started("--selector", "shard=flag", file=file, environment=environment)
    assert (settings.selector, settings.namespaces, settings.workers) == ("shard=flag", ("one", "two"), 3)


def test_processes_that_share_a_namespace_can_have_leases_of_their_own():
    settings = started("--selector", "shard=a", environment={"MODELROLLOUT_LEADERSHIP__NAME": "modelrollout-a"})
    assert settings.leadership.name == "modelrollout-a"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--namespace", "risk,ads"), "settings.namespaces: .*'risk,ads' is not the name of a namespace"),
        (("--namespace", "team-*"), "settings.namespaces: .*without patterns"),
        (("--namespace", "Risk"), "settings.namespaces: .*'Risk'"),
        (("--namespace", "../pods"), "settings.namespaces: .*'../pods'"),
        (("--namespace", "a" * 64), "settings.namespaces"),
        (("--namespace", "ml", "--namespace", "ml"), "settings.namespaces: .*must be unique, found ml twice"),
        (("--selector", "shard a"), "settings.selector: .*such as shard=a or team in"),
        (("--selector", "shard>1"), "settings.selector: .*such as shard=a or team in"),
    ],
)
def test_what_could_never_match_is_refused_with_the_setting_and_the_cure(argv, told):
    with pytest.raises(SettingsError, match=told):
        started(*argv)


def test_a_wrong_flag_ends_the_process_before_anything_is_touched(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--selector", "shard a"])
    assert ended.value.code == 2
    assert "settings.selector" in capsys.readouterr().err
