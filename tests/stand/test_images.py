"""The images that the stand makes run as anybody would run them: as nobody, writing nowhere."""

from tests.stand.conftest import House

READY = "{.status.conditions[?(@.type=='Ready')].status}"


def test_the_operator_serves_in_a_pod(house: House) -> None:
    house.run(
        "operator",
        house.variables["MATRIXHUB_IMAGE"],
        env=[{"name": "MATRIXHUB_METRICS_PORT", "value": "9090"}],
        readinessProbe={"httpGet": {"path": "/metrics", "port": 9090}, "periodSeconds": 1},
    )
    house.wait("operator", READY, "True")


def test_the_gateway_serves_in_a_pod(house: House) -> None:
    house.run(
        "gateway",
        house.variables["GATEWAY_IMAGE"],
        env=[{"name": "HOST", "value": "0.0.0.0"}],
        readinessProbe={"httpGet": {"path": "/live", "port": 6001}, "periodSeconds": 1},
    )
    house.wait("gateway", READY, "True")


def test_an_image_is_nobody_and_has_no_shell(house: House) -> None:
    code = "import os, shutil; print(os.getuid(), os.getgid(), shutil.which('sh'))"
    house.run("nobody", house.variables["MATRIXHUB_IMAGE"], command=["python3.11", "-c", code])
    house.wait("nobody", "{.status.phase}", "Succeeded")
    assert house.log("nobody").split() == ["65532", "65532", "None"]
