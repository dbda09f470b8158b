// Kubernetes' own API server, controller manager and kubectl in one program, and a stand-in for a
// kubelet, for the tests. The first argument, or the name it is called by, says which.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	// Metrics of clients, and versions, register themselves.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

func main() {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && name != "kubectl" {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	switch name {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(manager.NewControllerManagerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	case "kubelet-stand-in":
		standIn(os.Args[1:])
	case "populate":
		populate(os.Args[1:])
	default:
		fmt.Fprintf(os.Stderr, "%s: kube-apiserver, kube-controller-manager, kubectl, kubelet-stand-in or populate\n", name)
		os.Exit(2)
	}
}
