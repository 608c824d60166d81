// gitops-health prints how GitOps tools judge the object on its standard input (JSON): kstatus, which Flux waits by,
// and Argo CD's Lua health check in the file that is its argument.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	log.SetFlags(0)
	script, err := os.ReadFile(os.Args[1])
	check(err)
	text, err := io.ReadAll(os.Stdin)
	check(err)
	object := &unstructured.Unstructured{}
	check(object.UnmarshalJSON(text))
	flux, err := status.Compute(object)
	check(err)
	argo, err := health(string(script), text)
	check(err)
	answer := map[string]verdict{"kstatus": {string(flux.Status), flux.Message}, "argocd": argo}
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

// health runs the check as Argo CD does (util/lua/lua.go): the object is the global `obj`, the answer a table.
func health(script string, object []byte) (verdict, error) {
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		if err := vm.CallByParam(lua.P{Fn: vm.NewFunction(open), NRet: 0, Protect: true}, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	value, err := luajson.Decode(vm, object)
	if err != nil {
		return verdict{}, err
	}
	vm.SetGlobal("obj", value)
	if err := vm.DoString(script); err != nil {
		return verdict{}, err
	}
	answer, ok := vm.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("the check returned no table")
	}
	return verdict{lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message"))}, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
